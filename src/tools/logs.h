/* SPDX-License-Identifier: Apache-2.0 */
/* holdfast logs, inside: files as sources of events, and what is said of the tally. */
#ifndef HF_TOOLS_LOGS_H
#define HF_TOOLS_LOGS_H

#include "logs/book.h"
#include "logs/reader.h"
#include "logs/tally.h"
#include "tools/say.h"

#include <stdbool.h>
#include <sys/types.h>

#define HF_LOGS_FILES_MAX 256 /* files of one run: each is open, and has half a MiB */
#define HF_LOGS_BUFFER (3 * HF_LOGS_LINE_MAX)
#define HF_LOGS_UNREAD_SHOWN 8 /* of each file */

struct logs_unread {
    uint64_t line;
    const char *why; /* static */
    char text[96];
};

/* One file, and the event that was read ahead of it. */
struct logs_source {
    const char *name;
    uint32_t stream; /* files that are rotations of one have the same */
    int fd;          /* -1: closed */
    void *gz;        /* gzFile, or NULL */
    bool follows;    /* at its end there may come more */
    bool ended;
    bool skipping; /* in a line that is too long */
    dev_t device;
    ino_t inode;
    uint64_t taken, size; /* bytes of the file, for progress */
    uint8_t *buffer;
    size_t from, to;
    struct hf_logs_reader reader;
    struct hf_logs_event event;
    bool has_event;
    int64_t last; /* time of its newest event; HF_LOGS_NO_TIME */
    uint64_t lines, read, unread;
    uint64_t formats[HF_LOGS_FORMATS];
    struct logs_unread shown[HF_LOGS_UNREAD_SHOWN];
    size_t shown_count;
};

/* "-" is standard input. False: errno says why. */
bool hf_logs_source_open(struct logs_source *s, const char *name, bool follows,
                         enum hf_logs_format forced, const struct hf_logs_template *nginx,
                         struct hf_logs_clock clock);
void hf_logs_source_close(struct logs_source *s);
/* Reads on to the next event that is one, into s->event. False: there is none (yet). */
bool hf_logs_source_next(struct logs_source *s);
/* For a source that follows: whether the file was rotated or truncated; then it is read anew. True
 * when there may be something to read. */
bool hf_logs_source_look(struct logs_source *s);

#define HF_LOGS_KNOWN_MAX 64
struct logs_known { /* a peak that was said already */
    enum hf_peak_kind kind;
    bool is_silence;
    double at;
};

struct logs_command {
    struct hf_say say;
    struct hf_logs_clock clock;
    enum hf_logs_format forced;
    struct hf_logs_template nginx;
    bool has_nginx;
    enum hf_logs_by by;
    bool follows, endings, ascii;
    int64_t since, until; /* HF_LOGS_NO_TIME: any */
    struct hf_slice path; /* empty: any */
    unsigned columns, top;
    struct logs_source *sources;
    size_t source_count;
    struct hf_logs_book *book;
    struct hf_logs_tally tally;
    uint64_t left_out; /* by since, until and path */
    uint64_t untimed;  /* events without a time, where times were asked for */
    bool caught_up;    /* follows, and what was there is read */
    struct logs_known known[HF_LOGS_KNOWN_MAX];
    size_t known_count;
    uint64_t judged; /* endings when peaks were looked for last */
    hf_time judged_at;
};

/* One ending, as a line of JSON or for people. */
void hf_logs_say_ending(struct logs_command *c, const struct hf_logs_ending *ending);
/* A peak that stands out now, while the log is followed. */
void hf_logs_say_finding(struct logs_command *c, const struct hf_logs_finding *finding);
/* All that was found; exit is the process's exit code. */
void hf_logs_say_summary(struct logs_command *c, const struct hf_logs_finding *findings,
                         size_t count, int exit);

#endif
