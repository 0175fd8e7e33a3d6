/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "daemon/control/args.h"
#include "daemon/control/methods.h"
#include "lib/embed.h"

static int get_info(Call *c) {
        json_t *names = json_array();

        for (const EmbeddedFile *f = interface_files; f->name; f++)
                (void) json_array_append_new(names,
                                             json_stringn(f->name, strlen(f->name) - strlen(".varlink")));
        call_reply(c, json_pack("{ss ss ss ss so}", "vendor", "scitrace", "product", "scitraced", "version",
                                PACKAGE_VERSION, "url", "", "interfaces", names));
        return 0;
}

static int get_description(Call *c) {
        const char *name = args_string(c->parameters, "interface"), *text = interfaces_text(name);

        if (text)
                call_reply(c, json_pack("{ss}", "description", text));
        else
                call_error(c, "org.varlink.service.InterfaceNotFound", json_pack("{ss}", "interface", name));
        return 0;
}

const Method methods_varlink[] = {
        { "org.varlink.service.GetInfo", .anybody = true, .start = get_info },
        { "org.varlink.service.GetInterfaceDescription", .anybody = true, .start = get_description },
        { 0 },
};
