/* SPDX-License-Identifier: Apache-2.0 */
/* Files of logs as sources of events: plain or gzip, standard input, followed over rotation and
 * truncation. */
#include "tools/logs.h"

#include "base/redact.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static bool is_gzip(int fd)
{
    uint8_t magic[2];
    return pread(fd, magic, 2, 0) == 2 && magic[0] == 0x1F && magic[1] == 0x8B;
}

bool hf_logs_source_open(struct logs_source *s, const char *name, bool follows,
                         enum hf_logs_format forced, const struct hf_logs_template *nginx,
                         struct hf_logs_clock clock)
{
    struct stat st;
    *s = (struct logs_source){.name = name, .fd = -1, .last = HF_LOGS_NO_TIME};
    s->fd = strcmp(name, "-") == 0 ? dup(STDIN_FILENO) : open(name, O_RDONLY | O_CLOEXEC);
    if (s->fd < 0) {
        return false;
    }
    if (fstat(s->fd, &st) != 0 || S_ISDIR(st.st_mode)) {
        errno = errno != 0 ? errno : EISDIR;
        errno = S_ISDIR(st.st_mode) ? EISDIR : errno;
        return false;
    }
    s->device = st.st_dev;
    s->inode = st.st_ino;
    s->size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    if (is_gzip(s->fd)) {
        s->gz = gzdopen(dup(s->fd), "rb");
        if (s->gz == NULL) {
            errno = ENOMEM;
            return false;
        }
    }
    s->follows = follows && s->gz == NULL && S_ISREG(st.st_mode);
    s->buffer = malloc(HF_LOGS_BUFFER);
    if (s->buffer == NULL ||
        hf_logs_reader_init(&s->reader, &hf_heap, forced, nginx, clock) != HF_OK) {
        errno = ENOMEM;
        return false;
    }
    return true;
}

void hf_logs_source_close(struct logs_source *s)
{
    if (s->gz != NULL) {
        (void)gzclose(s->gz);
        s->gz = NULL;
    }
    if (s->fd >= 0) {
        (void)close(s->fd);
        s->fd = -1;
    }
    if (s->buffer != NULL) {
        hf_logs_reader_fini(&s->reader);
        free(s->buffer);
        s->buffer = NULL;
    }
}

static void note_unread(struct logs_source *s, struct hf_slice line, const char *why)
{
    s->unread++;
    if (s->shown_count < HF_LOGS_UNREAD_SHOWN) {
        struct logs_unread *u = &s->shown[s->shown_count++];
        struct hf_buffer shown;
        hf_buffer_init(&shown, &hf_heap, 4 * HF_LOGS_BUFFER);
        hf_redact_target(line, &shown);
        size_t n = shown.len < sizeof(u->text) - 1 ? shown.len : sizeof(u->text) - 1;
        u->line = s->lines;
        u->why = why;
        if (n > 0) {
            memcpy(u->text, shown.data, n);
        }
        u->text[n] = '\0';
        hf_buffer_reset(&shown);
    }
}

/* More bytes behind what is there. False at the end, and on an error, which is said as a line. */
static bool fill(struct logs_source *s)
{
    if (s->skipping && hf_interrupts() > 0) { /* a line without an end: between lines others look */
        s->ended = true;
    }
    if (s->ended) {
        return false;
    }
    if (s->from > 0) {
        memmove(s->buffer, s->buffer + s->from, s->to - s->from);
        s->to -= s->from;
        s->from = 0;
    }
    ssize_t n;
    do {
        n = s->gz != NULL ? gzread(s->gz, s->buffer + s->to, (unsigned)(HF_LOGS_BUFFER - s->to))
                          : read(s->fd, s->buffer + s->to, HF_LOGS_BUFFER - s->to);
    } while (n < 0 && errno == EINTR && hf_interrupts() == 0);
    if (n > 0) {
        s->to += (size_t)n;
        s->taken = s->gz != NULL ? (uint64_t)gzoffset(s->gz) : s->taken + (uint64_t)n;
        return true;
    }
    if (n < 0 && errno == EINTR) {
        return false;
    }
    int status =
        Z_OK; /* a gzip file that is cut ends with Z_BUF_ERROR, and what was whole is read */
    if (s->gz != NULL) {
        (void)gzerror(s->gz, &status);
    }
    if (n < 0 || status != Z_OK) {
        note_unread(s, HF_LITERAL("(the rest of the file)"),
                    s->gz != NULL ? "the gzip data are damaged or cut" : "it could not be read");
    }
    s->ended = !s->follows || n < 0;
    return false;
}

/* The next whole line, without its newline. The last one of a file that does not grow may be
 * without one. */
static bool next_line(struct logs_source *s, struct hf_slice *line)
{
    size_t looked = 0; /* bytes from `from` on that hold no newline */
    for (;;) {
        size_t have = s->to - s->from;
        uint8_t *at = s->buffer + s->from;
        uint8_t *end = have > looked ? memchr(at + looked, '\n', have - looked) : NULL;
        if (end != NULL) {
            *line = hf_slice(at, (size_t)(end - at));
            s->from += line->len + 1;
            if (!s->skipping) {
                return true;
            }
            s->skipping = false;
            looked = 0;
            continue;
        }
        looked = have;
        if (have >= HF_LOGS_BUFFER) {
            if (!s->skipping) {
                s->lines++;
                note_unread(s, hf_slice_first(hf_slice(at, have), 80), "longer than 64 KiB");
            }
            s->skipping = true;
            s->from = s->to = 0;
            looked = 0;
        }
        if (!fill(s)) {
            *line = hf_slice(s->buffer + s->from, s->to - s->from);
            s->from = s->ended ? s->to : s->from;
            return s->ended && line->len > 0 && !s->skipping;
        }
    }
}

bool hf_logs_source_next(struct logs_source *s)
{
    struct hf_slice line;
    while (!s->has_event && next_line(s, &line)) {
        const char *why = "";
        s->lines++;
        if (hf_logs_read(&s->reader, line, &s->event, &why) == HF_LOGS_UNREAD) {
            note_unread(s, line, why);
            continue;
        }
        s->read++;
        if (s->event.format < HF_LOGS_FORMATS) {
            s->formats[s->event.format]++;
        }
        if (s->event.at != HF_LOGS_NO_TIME && s->event.at > s->last) {
            s->last = s->event.at;
        }
        s->has_event = s->event.kind != HF_LOGS_NOTHING;
        if ((s->lines & 1023) == 0 && hf_interrupts() > 0) {
            return s->has_event;
        }
    }
    return s->has_event;
}

bool hf_logs_source_look(struct logs_source *s)
{
    struct stat here;
    struct stat there;
    if (!s->follows || fstat(s->fd, &here) != 0) {
        return false;
    }
    off_t at = lseek(s->fd, 0, SEEK_CUR);
    if (here.st_size < at) { /* truncated: it begins again, and half a line of before is lost */
        (void)lseek(s->fd, 0, SEEK_SET);
        s->from = s->to = 0;
        s->skipping = false;
        return true;
    }
    if (here.st_size > at) {
        return true;
    }
    /* A pipe of that name would have to be waited for. */
    if (stat(s->name, &there) == 0 && S_ISREG(there.st_mode) &&
        (there.st_ino != s->inode || there.st_dev != s->device)) {
        int fd = open(s->name, O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            return false;
        }
        (void)close(s->fd);
        s->fd = fd;
        s->inode = there.st_ino;
        s->device = there.st_dev;
        s->from = s->to = 0;
        s->skipping = false;
        return true;
    }
    return false;
}
