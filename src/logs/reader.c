/* SPDX-License-Identifier: Apache-2.0 */
/* Lines into events: see reader.h. */
#include "logs/reader.h"

#include "logs/lines.h"

/* In the order in which they are asked; the one that took the last line is asked first. */
static const struct {
    enum hf_logs_format format;
    hf_logs_line_reader *read;
} readers[] = {
    {HF_LOGS_NGINX_ACCESS, hf_logs_read_nginx_access},
    {HF_LOGS_HAPROXY, hf_logs_read_haproxy},
    {HF_LOGS_NGINX_ERROR, hf_logs_read_nginx_error},
    {HF_LOGS_HOLDFAST, hf_logs_read_holdfast},
    {HF_LOGS_ENVOY, hf_logs_read_envoy},
    {HF_LOGS_ALB, hf_logs_read_alb},
    {HF_LOGS_DAPHNE, hf_logs_read_daphne},
    {HF_LOGS_UVICORN, hf_logs_read_uvicorn},
    {HF_LOGS_GUNICORN, hf_logs_read_gunicorn},
    {HF_LOGS_HEROKU, hf_logs_read_heroku},
    {HF_LOGS_CLOUDFLARED, hf_logs_read_cloudflared},
    {HF_LOGS_NODE, hf_logs_read_node},
    {HF_LOGS_APP, hf_logs_read_phrases},
};
#define READERS (sizeof(readers) / sizeof(readers[0]))

enum hf_status hf_logs_reader_init(struct hf_logs_reader *r, const struct hf_allocator *alloc,
                                   enum hf_logs_format forced, const struct hf_logs_template *nginx,
                                   struct hf_logs_clock clock)
{
    *r = (struct hf_logs_reader){
        .alloc = alloc, .clock = clock, .forced = forced, .last = HF_LOGS_FORMATS, .nginx = nginx};
    r->scratch.data = hf_alloc(alloc, HF_LOGS_SCRATCH);
    r->scratch.cap = r->scratch.data == NULL ? 0 : HF_LOGS_SCRATCH;
    return r->scratch.data == NULL ? HF_NO_MEMORY : HF_OK;
}

void hf_logs_reader_fini(struct hf_logs_reader *r)
{
    hf_release(r->alloc, r->scratch.data);
    r->scratch = (struct hf_logs_scratch){0};
}

static enum hf_logs_claim ask(struct hf_logs_reader *r, size_t which, struct hf_logs_inner *in,
                              struct hf_logs_event *e, const char **why)
{
    hf_logs_event_init(e);
    enum hf_logs_claim claim = readers[which].read(r, in, e, why);
    if (claim != HF_LOGS_NOT_MINE && e->format == HF_LOGS_FORMATS) {
        e->format = readers[which].format;
    }
    return claim;
}

/* An error of Python or Node goes on over many lines: indented ones, and the last, which names the
 * exception. */
static bool continues(struct hf_logs_reader *r, struct hf_slice text)
{
    if (r->continued == 0) {
        return false;
    }
    uint8_t first = text.ptr[0];
    if (first == ' ' || first == '\t' || first == '}' || first == ']' ||
        hf_slice_starts(text, HF_LITERAL("Traceback (most recent")) ||
        hf_slice_starts(text, HF_LITERAL("During handling of")) ||
        hf_slice_starts(text, HF_LITERAL("The above exception"))) {
        r->continued--;
        return true;
    }
    size_t name = hf_slice_find(text, ':');
    size_t space = hf_slice_find(text, ' ');
    bool named = name < space || (space == text.len && name == text.len);
    r->continued = 0;
    return named;
}

static bool is_wanted(const struct hf_logs_reader *r, enum hf_logs_format format)
{
    return r->forced == HF_LOGS_FORMATS || format == r->forced ||
           (r->forced == HF_LOGS_GUNICORN && format == HF_LOGS_UVICORN);
}

/* A line of a logger that has levels, and says nothing that is known. */
static bool is_levelled(const struct hf_logs_inner *in)
{
    static const char *const levels[] = {"INFO: ", "ERROR: ", "WARNING: ", "DEBUG: ", "CRITICAL: "};
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (hf_slice_starts(in->text, hf_slice_of(levels[i]))) {
            return true;
        }
    }
    return in->level.len > 0;
}

static enum hf_logs_claim ask_all(struct hf_logs_reader *r, struct hf_logs_inner *in,
                                  struct hf_logs_event *e, const char **why)
{
    size_t first = 0;
    if (in->text.ptr[0] == '{') {
        hf_logs_event_init(e);
        enum hf_logs_claim claim = hf_logs_read_json(r, in, e, why);
        if (claim == HF_LOGS_MINE && !is_wanted(r, e->format)) {
            *why = "not of the format that was asked for";
            return HF_LOGS_NOT_MINE;
        }
        if (claim != HF_LOGS_NOT_MINE) {
            return claim;
        }
    }
    while (first < READERS && readers[first].format != r->last) {
        first++;
    }
    if (first < READERS) {
        enum hf_logs_claim claim = ask(r, first, in, e, why);
        if (claim != HF_LOGS_NOT_MINE) {
            return claim;
        }
    }
    for (size_t i = 0; i < READERS; i++) {
        bool asked = i == first || !is_wanted(r, readers[i].format);
        enum hf_logs_claim claim = asked ? HF_LOGS_NOT_MINE : ask(r, i, in, e, why);
        if (claim != HF_LOGS_NOT_MINE) {
            return claim;
        }
    }
    return HF_LOGS_NOT_MINE;
}

/* The wrapping's time counts where the line has none, or a coarser one. */
static void take_wrapping(struct hf_logs_event *e, const struct hf_logs_inner *in)
{
    if (in->at != HF_LOGS_NO_TIME && (e->at == HF_LOGS_NO_TIME || in->resolution < e->resolution)) {
        e->at = in->at;
        e->resolution = in->resolution;
    }
    if (e->pid == 0) {
        e->pid = in->pid;
    }
}

enum hf_logs_read hf_logs_read(struct hf_logs_reader *r, struct hf_slice line,
                               struct hf_logs_event *e, const char **why)
{
    struct hf_logs_inner in;
    r->scratch.len = 0;
    hf_logs_event_init(e);
    if (line.len > HF_LOGS_LINE_MAX) {
        *why = "longer than 64 KiB";
        return HF_LOGS_UNREAD;
    }
    hf_logs_unwrap(&in, line, &r->clock, &r->scratch);
    if (in.why != NULL) {
        *why = in.why;
        return HF_LOGS_UNREAD;
    }
    if (in.text.len == 0) {
        return HF_LOGS_READ;
    }
    *why = r->forced == HF_LOGS_FORMATS ? "no format that is known"
                                        : "not of the format that was asked for";
    enum hf_logs_claim claim = ask_all(r, &in, e, why);
    if (claim == HF_LOGS_BROKEN) {
        return HF_LOGS_UNREAD;
    }
    if (claim == HF_LOGS_NOT_MINE) {
        hf_logs_event_init(e);
        e->at = in.at;
        return is_levelled(&in) || continues(r, in.text) ? HF_LOGS_READ : HF_LOGS_UNREAD;
    }
    take_wrapping(e, &in);
    if (e->kind == HF_LOGS_FAULT) {
        r->continued = HF_LOGS_CONTINUED;
    }
    r->last = e->format;
    return HF_LOGS_READ;
}
