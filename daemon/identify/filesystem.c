/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "daemon/identify/identify.h"

typedef struct FilesystemType {
        uint32_t magic;
        const char *name;
        bool network;                   /* others change it past this kernel */
} FilesystemType;

/* Numbers without a name are not in linux/magic.h. */
static const FilesystemType types[] = {
        { EXT4_SUPER_MAGIC, "ext4", false },
        { XFS_SUPER_MAGIC, "xfs", false },
        { BTRFS_SUPER_MAGIC, "btrfs", false },
        { TMPFS_MAGIC, "tmpfs", false },
        { RAMFS_MAGIC, "ramfs", false },
        { OVERLAYFS_SUPER_MAGIC, "overlay", false },
        { F2FS_SUPER_MAGIC, "f2fs", false },
        { 0x2FC12FC1, "zfs", false },
        { 0xCA451A4E, "bcachefs", false },
        { 0x3153464A, "jfs", false },
        { REISERFS_SUPER_MAGIC, "reiserfs", false },
        { MSDOS_SUPER_MAGIC, "vfat", false },
        { EXFAT_SUPER_MAGIC, "exfat", false },
        { 0x5346544E, "ntfs", false },
        { 0x7366746E, "ntfs3", false },
        { ISOFS_SUPER_MAGIC, "iso9660", false },
        { UDF_SUPER_MAGIC, "udf", false },
        { SQUASHFS_MAGIC, "squashfs", false },
        { ECRYPTFS_SUPER_MAGIC, "ecryptfs", false },
        { NFS_SUPER_MAGIC, "nfs", true },
        { SMB_SUPER_MAGIC, "smb", true },
        { CIFS_SUPER_MAGIC, "cifs", true },
        { SMB2_SUPER_MAGIC, "smb3", true },
        { CEPH_SUPER_MAGIC, "ceph", true },
        { AFS_SUPER_MAGIC, "afs", true },
        { AFS_FS_MAGIC, "afs", true },
        { CODA_SUPER_MAGIC, "coda", true },
        { V9FS_MAGIC, "9p", true },
        { OCFS2_SUPER_MAGIC, "ocfs2", true },
        { 0x01161970, "gfs2", true },
        { 0x0BD00BD0, "lustre", true },
        { 0x47504653, "gpfs", true },
        { 0x19830326, "beegfs", true },
        { 0x20030528, "orangefs", true },
        { 0x786F4256, "vboxsf", true },
        { FUSE_SUPER_MAGIC, "fuse", true },
};
static const FilesystemType unknown = { 0, "unknown", false };

/* Since Linux 6.9 for all types, and ext4's own since 6.0; Debian 12's headers have neither. */
typedef struct FsUuid2 {
        uint8_t size;
        uint8_t uuid[16];
} FsUuid2;
typedef struct Ext4Uuid {
        uint32_t size, flags;
        uint8_t uuid[16];
} Ext4Uuid;
#define IOC_GETFSUUID _IOR(0x15, 0, FsUuid2)
#define IOC_EXT4_GETFSUUID _IOR('f', 44, uint32_t[2])

/* xfs_fsop_geom_v1, of which only the UUID is wanted. */
typedef struct XfsGeometry {
        uint8_t before[64];
        uint8_t uuid[16];
        uint8_t after[32];
} XfsGeometry;
#define IOC_XFS_FSGEOMETRY_V1 _IOR('X', 100, XfsGeometry)

static const FilesystemType *type_of(const struct statfs *s) {
        for (size_t i = 0; i < ELEMENTS(types); i++)
                if (types[i].magic == (uint32_t) s->f_type)
                        return &types[i];
        return &unknown;
}

/* Whether FUSE lies over a block device of this machine (ntfs-3g and the like: "fuseblk" in mountinfo), or
 * over who knows what. */
static bool is_fuse_on_disk(int fd) {
        CLEANUP(fclosep) FILE *f = fopen("/proc/self/mountinfo", "re");
        CLEANUP(freep) char *line = NULL;
        unsigned major_ = 0, minor_ = 0;
        size_t allocated = 0;
        struct statx stx;

        if (!f || statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &stx) < 0)
                return false;
        while (getline(&line, &allocated, f) > 0)
                if (sscanf(line, "%*d %*d %u:%u", &major_, &minor_) == 2 && major_ == stx.stx_dev_major &&
                    minor_ == stx.stx_dev_minor)
                        return strstr(line, " - fuseblk ") != NULL;
        return false;
}

/* A file system whose UUID was cleared has none. */
static bool take_uuid(const uint8_t *uuid, uint8_t ret[16]) {
        static const uint8_t none[16];

        if (memcmp(uuid, none, 16) == 0)
                return false;
        memcpy(ret, uuid, 16);
        return true;
}

static bool uuid_of(int fd, uint32_t magic, uint8_t ret[16]) {
        struct btrfs_ioctl_fs_info_args btrfs = { 0 };
        Ext4Uuid ext4 = { .size = 16 };
        XfsGeometry xfs = { 0 };
        FsUuid2 any = { 0 };

        if (ioctl(fd, IOC_GETFSUUID, &any) == 0 && any.size == 16 && take_uuid(any.uuid, ret))
                return true;
        if (magic == EXT4_SUPER_MAGIC && ioctl(fd, IOC_EXT4_GETFSUUID, &ext4) == 0)
                return take_uuid(ext4.uuid, ret);
        if (magic == XFS_SUPER_MAGIC && ioctl(fd, IOC_XFS_FSGEOMETRY_V1, &xfs) == 0)
                return take_uuid(xfs.uuid, ret);
        if (magic == BTRFS_SUPER_MAGIC && ioctl(fd, BTRFS_IOC_FS_INFO, &btrfs) == 0)
                return take_uuid(btrfs.fsid, ret);
        return false;
}

int identify_filesystem(int fd, const char **ret_type, bool *ret_network, uint8_t ret_uuid[16],
                        bool *ret_has_uuid) {
        CLEANUP(closep) int readable = -1;
        const FilesystemType *type;
        struct statfs s;

        assert(ret_type && ret_network && ret_uuid && ret_has_uuid);
        if (fstatfs(fd, &s) < 0)
                return -errno;
        type = type_of(&s);
        *ret_type = type->name;
        *ret_network = type->network && !(type->magic == FUSE_SUPER_MAGIC && is_fuse_on_disk(fd));

        /* An ioctl wants more than O_PATH. */
        readable = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        *ret_has_uuid = readable >= 0 && uuid_of(readable, (uint32_t) s.f_type, ret_uuid);
        return 0;
}
