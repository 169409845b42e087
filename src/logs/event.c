/* SPDX-License-Identifier: Apache-2.0 */
/* The words of events, and what the readers of single formats share. */
#include "logs/event.h"

#include "base/status.h"
#include "logs/lines.h"
#include "logs/when.h"

static const char *const format_texts[HF_LOGS_FORMATS] = {
    "nginx-access", "nginx-error", "haproxy", "envoy",       "alb",      "daphne", "uvicorn",
    "gunicorn",     "node",        "heroku",  "cloudflared", "holdfast", "app"};

const char *hf_logs_format_text(enum hf_logs_format format)
{
    HF_ASSERT((unsigned)format < HF_LOGS_FORMATS);
    return format_texts[format];
}

enum hf_logs_format hf_logs_format_from(struct hf_slice text)
{
    unsigned i = 0;
    while (i < HF_LOGS_FORMATS && !hf_slice_eq(text, hf_slice_of(format_texts[i]))) {
        i++;
    }
    return (enum hf_logs_format)i;
}

const char *hf_logs_who_text(enum hf_logs_who who)
{
    static const char *const texts[] = {"unknown", "client", "server", "path"};
    HF_ASSERT((unsigned)who < sizeof(texts) / sizeof(texts[0]));
    return texts[who];
}

const char *hf_logs_how_text(enum hf_logs_how how)
{
    static const char *const texts[HF_LOGS_HOWS] = {"unknown", "close",  "fin",   "rst",  "timer",
                                                    "silence", "killed", "fault", "other"};
    HF_ASSERT((unsigned)how < HF_LOGS_HOWS);
    return texts[how];
}

void hf_logs_event_init(struct hf_logs_event *e)
{
    *e = (struct hf_logs_event){
        .kind = HF_LOGS_NOTHING,
        .format = HF_LOGS_FORMATS,
        .at = HF_LOGS_NO_TIME,
        .resolution = HF_SECONDS(1),
        .age = -1,
        .silent_rx = -1,
        .silent_tx = -1,
        .messages_up = -1,
        .messages_down = -1,
        .bytes_up = -1,
        .bytes_down = -1,
    };
}

void hf_logs_copy_text(char *out, size_t size, struct hf_slice s)
{
    size_t n = s.len < size - 1 ? s.len : size - 1;
    if (n > 0) {
        memcpy(out, s.ptr, n);
    }
    out[n] = '\0';
}

void hf_logs_put_meaning(struct hf_logs_event *e, const struct hf_logs_meaning *meaning)
{
    e->how = meaning->how;
    e->who = meaning->who;
    e->cause = hf_slice_of(meaning->cause);
    e->reason = hf_slice_of(meaning->reason);
}

bool hf_logs_word(struct hf_slice *rest, struct hf_slice *word)
{
    struct hf_slice s = *rest;
    size_t i = 0;
    while (i < s.len && s.ptr[i] == ' ') {
        i++;
    }
    s = hf_slice_from(s, i);
    if (s.len == 0) {
        *word = s;
        return false;
    }
    if (s.ptr[0] != '"') {
        *word = hf_slice_first(s, hf_slice_find(s, ' '));
        *rest = hf_slice_from(s, word->len);
        return true;
    }
    for (i = 1; i < s.len && s.ptr[i] != '"'; i++) {
        i += s.ptr[i] == '\\' && i + 1 < s.len;
    }
    *word = hf_slice(s.ptr + 1, (i < s.len ? i : s.len) - 1);
    *rest = hf_slice_from(s, i + 1);
    return true;
}

bool hf_logs_request(struct hf_slice request, struct hf_slice *target)
{
    size_t first = hf_slice_find(request, ' ');
    struct hf_slice rest = hf_slice_from(request, first + 1);
    size_t second = hf_slice_find(rest, ' ');
    if (first == request.len || first == 0 || rest.len == 0) {
        return false;
    }
    rest = hf_slice_first(rest, second);
    /* An absolute form, as ALB writes it: https://host:443/path. */
    size_t scheme = hf_slice_search(rest, HF_LITERAL("://"));
    if (rest.len > 0 && rest.ptr[0] != '/' && scheme < rest.len) {
        struct hf_slice host = hf_slice_from(rest, scheme + 3);
        rest = hf_slice_from(host, hf_slice_find(host, '/'));
    }
    *target = rest;
    return true;
}

hf_time hf_logs_ms(struct hf_slice text)
{
    int64_t us; /* 12 of "12" read as seconds, a thousand times too much */
    return hf_logs_seconds(text, &us) ? us / 1000 : -1;
}

int64_t hf_logs_count(struct hf_slice text)
{
    uint64_t n;
    return hf_slice_number(text, INT64_MAX, &n) ? (int64_t)n : -1;
}

bool hf_logs_has(struct hf_slice text, const char *needle)
{
    return hf_slice_search(text, hf_slice_of(needle)) < text.len;
}
