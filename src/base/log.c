/* SPDX-License-Identifier: Apache-2.0 */
/* The log's lines and its sink.
 *
 * Lines gather in `fill`. One thread at a time is the writer: it swaps `fill` with `out`, lets go
 * of the lock, writes, and comes back until nothing is wanted any more; the others only append
 * meanwhile. Invariant: fill.len + what is left in out <= QUEUE_MAX, and only the writer touches
 * out. */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define BATCH (32 * 1024)           /* bytes that start a write */
#define QUEUE_MAX (4 * 1024 * 1024) /* bytes that may wait */
#define LINE_MAX_BYTES (256 * 1024) /* of one line */
#define PIPE_CHUNK 4096             /* PIPE_BUF: a writable pipe takes so much without blocking */
#define CLOSE_WAIT_MS 1000          /* for a slow reader of a pipe, at close */

struct hf_log {
    pthread_mutex_t lock;
    atomic_int format;
    atomic_int level;
    atomic_uint_fast64_t lost; /* lines, since open */
    int fd;
    char *path; /* NULL: standard error, which is not ours to close */

    /* Under the lock. */
    struct hf_buffer fill;
    uint64_t unreported; /* lost lines that no line has told of yet */
    bool writing;        /* a thread is the writer */
    bool flush_wanted;   /* the writer writes less than a batch too */
    bool waits;          /* what fd is may block for ever: not a regular file */

    /* The writer's. */
    struct hf_buffer out;
    size_t out_at; /* bytes of out that are written */
    bool torn;     /* the last byte written was no line's end */
};

static enum hf_status status_of(int error)
{
    switch (error) {
    case EMFILE:
    case ENFILE:
        return HF_NO_DESCRIPTORS;
    case ENOMEM:
        return HF_NO_MEMORY;
    case EACCES:
    case EPERM:
    case EROFS:
        return HF_DENIED;
    case ENOENT:
    case ENOTDIR:
        return HF_NOT_FOUND;
    case EISDIR:
    case ELOOP:
    case ENAMETOOLONG:
        return HF_INVALID;
    default:
        return HF_IO;
    }
}

/* O_NONBLOCK, so that a named pipe without a reader is an error and not a halt. */
static enum hf_status open_path(const char *path, int *fd)
{
    *fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    return *fd < 0 ? status_of(errno) : HF_OK;
}

static bool may_block(int fd)
{
    struct stat st;
    return fstat(fd, &st) != 0 || !S_ISREG(st.st_mode);
}

static char *copy_text(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = hf_alloc(&hf_heap, size);
    if (copy != NULL) {
        memcpy(copy, text, size);
    }
    return copy;
}

enum hf_status hf_log_open(const char *path, enum hf_log_format format, enum hf_log_level level,
                           struct hf_log **log)
{
    *log = NULL;
    enum hf_status status = HF_NO_MEMORY;
    struct hf_log *l = hf_alloc_zero(&hf_heap, sizeof(*l));
    if (l == NULL) {
        return status;
    }
    hf_buffer_init(&l->fill, &hf_heap, QUEUE_MAX);
    hf_buffer_init(&l->out, &hf_heap, QUEUE_MAX);
    l->fd = STDERR_FILENO;
    if (path == NULL) {
        status = HF_OK;
    } else if ((l->path = copy_text(path)) != NULL) {
        status = open_path(path, &l->fd);
    }
    if (status != HF_OK) {
        hf_release(&hf_heap, l->path);
        hf_release(&hf_heap, l);
        return status;
    }
    HF_ASSERT(pthread_mutex_init(&l->lock, NULL) == 0);
    l->waits = may_block(l->fd);
    hf_log_configure(l, format, level);
    *log = l;
    return HF_OK;
}

void hf_log_configure(struct hf_log *log, enum hf_log_format format, enum hf_log_level level)
{
    atomic_store_explicit(&log->format, (int)format, memory_order_relaxed);
    atomic_store_explicit(&log->level, (int)level, memory_order_relaxed);
}

bool hf_log_wants(const struct hf_log *log, enum hf_log_level level)
{
    return log != NULL && (int)level >= atomic_load_explicit(&log->level, memory_order_relaxed);
}

uint64_t hf_log_lost(const struct hf_log *log)
{
    return atomic_load_explicit(&log->lost, memory_order_relaxed);
}

static void lock(struct hf_log *log)
{
    HF_ASSERT(pthread_mutex_lock(&log->lock) == 0);
}

static void unlock(struct hf_log *log)
{
    HF_ASSERT(pthread_mutex_unlock(&log->lock) == 0);
}

/* With the lock held. */
static void count_lost(struct hf_log *log, uint64_t lines)
{
    log->unreported += lines;
    atomic_fetch_add_explicit(&log->lost, lines, memory_order_relaxed);
}

/* The sink. */

enum written { WRITTEN_ALL, WRITTEN_WOULD_BLOCK, WRITTEN_REFUSED };

/* Writes out from out_at. A pipe, socket or terminal is asked first, because the descriptor may be
 * shared with other processes and cannot be made non-blocking. */
static enum written write_out(struct hf_log *log, bool waits, int wait_ms)
{
    while (log->out_at < log->out.len) {
        size_t len = log->out.len - log->out_at;
        if (waits) {
            struct pollfd ready = {.fd = log->fd, .events = POLLOUT};
            int n = poll(&ready, 1, wait_ms);
            if (n < 0 && errno == EINTR) {
                continue;
            }
            if (n == 0) {
                return WRITTEN_WOULD_BLOCK;
            }
            len = len < PIPE_CHUNK ? len : PIPE_CHUNK;
        }
        ssize_t n = write(log->fd, log->out.data + log->out_at, len);
        if (n > 0) {
            log->out_at += (size_t)n;
            log->torn = log->out.data[log->out_at - 1] != '\n';
        } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return WRITTEN_WOULD_BLOCK;
        } else if (n == 0 || errno != EINTR) {
            return WRITTEN_REFUSED;
        }
    }
    return WRITTEN_ALL;
}

static uint64_t count_lines(struct hf_slice s)
{
    uint64_t lines = 0;
    while (s.len > 0) {
        size_t end = hf_slice_find(s, '\n');
        lines += end < s.len;
        s = hf_slice_from(s, end + 1);
    }
    return lines;
}

/* Under the lock: out is empty and takes what has gathered. A line that was cut in two by a failure
 * is ended first, so that it does not spoil the next one. */
static void swap_buffers(struct hf_log *log)
{
    struct hf_buffer emptied = log->out;
    log->out = log->fill;
    log->fill = emptied;
    log->flush_wanted = false;
}

/* Under the lock, and only for the writer or when there is none. */
static bool has_work(const struct hf_log *log)
{
    return log->out_at < log->out.len || log->fill.len >= BATCH ||
           (log->flush_wanted && log->fill.len > 0);
}

static void end_torn_line(struct hf_log *log)
{
    if (log->torn && write(log->fd, "\n", 1) == 1) {
        log->torn = false;
    }
}

/* With the lock held, which it gives up while it writes. Returns at once when another thread is
 * writing: that one does not stop before the work is done. A flush asks for what has gathered up to
 * now, so that one thread does not write for all others for ever. */
static void write_pending(struct hf_log *log, int wait_ms)
{
    if (log->writing) {
        return;
    }
    log->writing = true;
    enum written written = WRITTEN_ALL;
    while (written != WRITTEN_WOULD_BLOCK && has_work(log)) {
        if (log->out.len == 0) {
            swap_buffers(log);
        }
        bool waits = log->waits;
        unlock(log);
        if (log->out_at == 0 && !waits) {
            end_torn_line(log);
        }
        written = write_out(log, waits, wait_ms);
        lock(log);
        if (written == WRITTEN_REFUSED) {
            struct hf_slice rest = hf_slice_from(hf_buffer_slice(&log->out), log->out_at);
            count_lost(log, count_lines(rest));
        }
        if (written != WRITTEN_WOULD_BLOCK) {
            hf_buffer_clear(&log->out);
            log->out_at = 0;
        }
    }
    log->writing = false;
}

static void flush(struct hf_log *log, int wait_ms)
{
    lock(log);
    log->flush_wanted = true;
    write_pending(log, wait_ms);
    unlock(log);
}

void hf_log_flush(struct hf_log *log)
{
    if (log != NULL) {
        flush(log, 0);
    }
}

void hf_log_close(struct hf_log *log)
{
    if (log == NULL) {
        return;
    }
    flush(log, CLOSE_WAIT_MS);
    if (log->path != NULL) {
        (void)close(log->fd);
    }
    (void)pthread_mutex_destroy(&log->lock);
    hf_buffer_reset(&log->fill);
    hf_buffer_reset(&log->out);
    hf_release(&hf_heap, log->path);
    hf_release(&hf_heap, log);
}

/* The new file takes the old one's number, so that a thread that is writing needs no lock. */
enum hf_status hf_log_reopen(struct hf_log *log)
{
    if (log == NULL || log->path == NULL) {
        return HF_OK;
    }
    hf_log_flush(log);
    int fd;
    enum hf_status status = open_path(log->path, &fd);
    if (status != HF_OK) {
        return status;
    }
    lock(log);
    if (dup3(fd, log->fd, O_CLOEXEC) < 0) {
        status = status_of(errno);
    } else {
        log->waits = may_block(log->fd);
    }
    unlock(log);
    (void)close(fd);
    return status;
}

/* The lines. */

static const char *const level_names[] = {"debug", "info", "warning", "error"};

/* The allocator of a line's text: its own room first, then the heap. */
static void *resize_line(void *context, void *ptr, size_t size)
{
    struct hf_log_line *line = context;
    if (ptr != line->room) {
        return hf_heap.resize(hf_heap.context, ptr, size);
    }
    void *moved = size == 0 ? NULL : hf_alloc(&hf_heap, size);
    if (moved != NULL) {
        memcpy(moved, line->room, line->text.len);
    }
    return moved;
}

/* The date down to the second is made once a second on each thread, the milliseconds for each line.
 */
static void add_wall(struct hf_buffer *b, hf_wall wall)
{
    static _Thread_local hf_wall cached = INT64_MIN;
    static _Thread_local char text[25];
    int64_t ms = wall >= 0 ? wall % 1000 : 0;
    if (wall < 0 || wall - ms != cached) {
        hf_wall_text(wall, text);
        cached = wall >= 0 ? wall - ms : INT64_MIN;
    } else {
        text[20] = (char)('0' + ms / 100);
        text[21] = (char)('0' + ms / 10 % 10);
        text[22] = (char)('0' + ms % 10);
    }
    (void)hf_buffer_add(b, hf_slice(text, 24));
}

static void add_head(struct hf_buffer *b, bool json, enum hf_log_level level, hf_wall wall,
                     const char *event)
{
    (void)hf_buffer_add_text(b, json ? "{\"time\":\"" : "");
    add_wall(b, wall);
    (void)hf_buffer_add_text(b, json ? "\",\"level\":\"" : " ");
    (void)hf_buffer_add_text(b, level_names[level]);
    (void)hf_buffer_add_text(b, json ? "\",\"event\":\"" : " ");
    (void)hf_buffer_add_text(b, event);
    (void)hf_buffer_add_text(b, json ? "\"" : "");
}

static void add_key(struct hf_buffer *b, bool json, const char *key)
{
    (void)hf_buffer_add_text(b, json ? ",\"" : " ");
    (void)hf_buffer_add_text(b, key);
    (void)hf_buffer_add_text(b, json ? "\":" : "=");
}

static void add_number(struct hf_buffer *b, int64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (value < 0) {
        digits[--at] = '-';
    }
    (void)hf_buffer_add(b, hf_slice(digits + at, sizeof(digits) - at));
}

void hf_log_begin(struct hf_log_line *line, struct hf_log *log, enum hf_log_level level,
                  hf_wall wall, const char *event)
{
    line->log = NULL;
    line->json = false;
    if (!hf_log_wants(log, level)) {
        return;
    }
    line->log = log;
    line->wall = wall;
    line->json = atomic_load_explicit(&log->format, memory_order_relaxed) == HF_LOG_JSON;
    line->alloc = (struct hf_allocator){resize_line, line};
    line->text = (struct hf_buffer){.alloc = &line->alloc,
                                    .data = line->room,
                                    .cap = sizeof(line->room),
                                    .max = LINE_MAX_BYTES};
    add_head(&line->text, line->json, level, wall, event);
}

/* A value with a byte that is not plain is quoted and escaped as in JSON. */
static bool is_plain(struct hf_slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.ptr[i];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '=') {
            return false;
        }
    }
    return value.len > 0;
}

void hf_log_text(struct hf_log_line *line, const char *key, struct hf_slice value)
{
    if (line->log == NULL) {
        return;
    }
    add_key(&line->text, line->json, key);
    if (!line->json && is_plain(value)) {
        (void)hf_buffer_add(&line->text, value);
        return;
    }
    (void)hf_buffer_add_byte(&line->text, '"');
    (void)hf_buffer_add_json(&line->text, value);
    (void)hf_buffer_add_byte(&line->text, '"');
}

void hf_log_cstr(struct hf_log_line *line, const char *key, const char *value)
{
    hf_log_text(line, key, hf_slice_of(value));
}

void hf_log_number(struct hf_log_line *line, const char *key, int64_t value)
{
    if (line->log != NULL) {
        add_key(&line->text, line->json, key);
        add_number(&line->text, value);
    }
}

void hf_log_ms(struct hf_log_line *line, const char *key, int64_t microseconds)
{
    if (line->log == NULL) {
        return;
    }
    add_key(&line->text, line->json, key);
    int64_t rest = microseconds % 1000;
    if (microseconds < 0) {
        (void)hf_buffer_add_byte(&line->text, '-');
        rest = -rest;
    }
    int64_t whole = microseconds / 1000;
    add_number(&line->text, whole < 0 ? -whole : whole);
    if (rest != 0) {
        char text[4] = {'.', (char)('0' + rest / 100), (char)('0' + rest / 10 % 10),
                        (char)('0' + rest % 10)};
        size_t len = text[3] != '0' ? 4 : text[2] != '0' ? 3 : 2;
        (void)hf_buffer_add(&line->text, hf_slice(text, len));
    }
}

void hf_log_members(struct hf_log_line *line, struct hf_slice members)
{
    if (line->log != NULL && members.len > 0) {
        HF_ASSERT(line->json);
        (void)hf_buffer_add_byte(&line->text, ',');
        (void)hf_buffer_add(&line->text, members);
    }
}

void hf_log_null(struct hf_log_line *line, const char *key)
{
    if (line->log != NULL) {
        add_key(&line->text, line->json, key);
        (void)hf_buffer_add_text(&line->text, line->json ? "null" : "-");
    }
}

void hf_log_bool(struct hf_log_line *line, const char *key, bool value)
{
    if (line->log != NULL) {
        add_key(&line->text, line->json, key);
        (void)hf_buffer_add_text(&line->text, value ? "true" : "false");
    }
}

/* Under the lock. Room for more bytes among those that wait; out is counted whole, written or not.
 */
static bool has_room(struct hf_log *log, size_t more)
{
    return more <= QUEUE_MAX - log->out.len && log->fill.len <= QUEUE_MAX - log->out.len - more &&
           hf_buffer_reserve(&log->fill, more) == HF_OK;
}

/* Under the lock: tells of lost lines before the next line that finds room. */
static void report_lost(struct hf_log *log, const struct hf_log_line *line)
{
    struct hf_buffer *b = &log->fill;
    add_head(b, line->json, HF_LOG_WARNING, line->wall, "log dropped");
    add_key(b, line->json, "lines");
    add_number(b, (int64_t)log->unreported);
    (void)hf_buffer_add_text(b, line->json ? "}\n" : "\n");
    log->unreported = 0;
}

#define REPORT_MAX 128 /* bytes of such a line */

void hf_log_end(struct hf_log_line *line)
{
    struct hf_log *log = line->log;
    if (log == NULL) {
        return;
    }
    (void)hf_buffer_add_text(&line->text, line->json ? "}\n" : "\n");
    lock(log);
    if (!line->text.failed && has_room(log, line->text.len + REPORT_MAX)) {
        if (log->unreported > 0) {
            report_lost(log, line);
        }
        (void)hf_buffer_add(&log->fill, hf_buffer_slice(&line->text));
    } else {
        count_lost(log, 1);
    }
    write_pending(log, 0);
    unlock(log);
    hf_buffer_reset(&line->text);
    line->log = NULL;
}

void hf_log_say(struct hf_log *log, enum hf_log_level level, hf_wall wall, const char *event,
                const char *format, ...)
{
    if (!hf_log_wants(log, level)) {
        return;
    }
    struct hf_buffer message;
    hf_buffer_init(&message, &hf_heap, LINE_MAX_BYTES);
    va_list args;
    va_start(args, format);
    (void)hf_buffer_addv(&message, format, args);
    va_end(args);
    struct hf_log_line line;
    hf_log_begin(&line, log, level, wall, event);
    hf_log_text(&line, "message", hf_buffer_slice(&message));
    hf_log_end(&line);
    hf_buffer_reset(&message);
}
