/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_LIB_LOG_IDS_H
#define SCITRACE_LIB_LOG_IDS_H

/* log-ids: the messages that a site may match by MESSAGE_ID=. units/scitrace.catalog explains each (a test
 * compares the two). Append-only: an id once shipped keeps its meaning for ever.
 * May use: nothing.  May not use: anything. */

#define LOG_ID_TABLE(X)                                                                                  \
        /* name            MESSAGE_ID                          fields */                                 \
        X(STARTED,          "e1fdac4e9a4a463cb09d280ce482a620")                                          \
        X(STOPPED,          "f2e859cf33af4dada0602e8d52f56ad7")                                          \
        X(DATASET_ADDED,    "6404edd990374be48aa04a3183612a5e") /* SCITRACE_DATASET= */                  \
        X(DATASET_REMOVED,  "4ee9f907a04e4d6c888c714fbe046fc0") /* SCITRACE_DATASET= */                  \
        X(GAP_OPENED,       "ba71df42ad8a421eaf894e8dc1959f2f") /* SCITRACE_DATASET=, SCITRACE_CAUSE= */ \
        X(GAP_CLOSED,       "eb9f1f2f4e774edab175b928481552a9") /* SCITRACE_DATASET=, SCITRACE_CAUSE= */ \
        X(WATCHER_LOST,     "dc70ec9eb88b4c41b2c10b89ee186449")                                          \
        X(STORE_FULL,       "e6869fe61e2d41be936df94c7c03af3a") /* SCITRACE_STORE= */                    \
        X(STORE_FAILED,     "ba166d83cbf341ef980b0fe6cb05ba50") /* SCITRACE_STORE= */                    \
        X(BAD_POLICY_VALUE, "692045e0217d40a6a8d24cda23c66855") /* SCITRACE_FILE=, SCITRACE_LINE= */     \
        X(OVERFLOW,         "d2bd688df1d9454b90dcf6b0bfe04ab2")                                          \
        X(SOCKET_LOST,      "0945dd8a446748389db010c93d4d6287") /* SCITRACE_SOCKET= */                   \
        X(CHECKPOINT,       "194f8ead6df74d7e97ac1a9635807770") /* SCITRACE_ORIGIN=, _EVENTS=, ... */      \
        X(UNSEALED,         "3462d75c3d374f2688f61f49bca8ab44")                                          \
        X(KEY_LOST,         "2cda911898b24c02b9bac0b73b90b954")                                          \
        X(MIGRATED,         "39411a243f9c4aebb966ac55cec866d1") /* SCITRACE_STORE= */                    \
        X(WATCH_LIMIT,      "e64df29cd2b84dd2a4d733af51bbbdf0") /* SCITRACE_SYSCTL=, SCITRACE_VALUE= */  \
        X(DATASET_REHOMED,  "2e315c747c4d4683a64618fe0a25c3e7") /* SCITRACE_DATASET= */                  \
        X(DATASET_MOVED,    "86c6e4e79eda4e9481e0e46e8d33c3de") /* SCITRACE_DATASET= */                  \
        X(STALLED,          "5d1c0f3b8a8e4a3e9a6fb2f3d4b0c7a1") /* SCITRACE_DATASET= */                  \
        X(MOUNT_PINNED,     "a37f0c52d9b14be78f1e6a0e93cb4f28") /* SCITRACE_DATASET=, SCITRACE_PATH= */  \
        X(NOT_SOUND,        "6c0b0e3f6a7f4d0c9b5ad2c1f2b7e83d") /* SCITRACE_STORE=, SCITRACE_OUTCOME= */  \
        X(STORE_WRITABLE,   "8f3f6a2d0c5b4e0f9d1e57c1a4b8723e") /* SCITRACE_STORE= */                    \
        X(STORE_LOST,       "020994551cb040d2976182385caf3d71") /* SCITRACE_STORE=, SCITRACE_EVENTS= */   \
        X(CLOCK_STEP,       "3561b6fa167a499b82562ef835439b6b") /* SCITRACE_USEC= */

#define LOG_ID_ENUM_ITEM(name, hex) MSG_##name,
typedef enum LogId { MSG_NONE, LOG_ID_TABLE(LOG_ID_ENUM_ITEM) MSG_COUNT } LogId;

#endif
