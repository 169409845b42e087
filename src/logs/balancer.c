/* SPDX-License-Identifier: Apache-2.0 */
/* Envoy's default access log (and Istio's, which is longer), and the access log of AWS's
 * Application Load Balancer: read as their documentation describes them. */
#include "logs/lines.h"

#include "logs/when.h"

/* Response flags: envoy docs, access log usage. Several are separated by commas. */
static void read_flags(struct hf_logs_event *e, struct hf_slice flags)
{
    static const struct hf_logs_meaning known[] = {
        {"SI", HF_LOGS_HOW_TIMER, HF_LOGS_WHO_PATH, "envoy-stream-idle-5m",
         "Envoy's stream idle timeout"},
        {"UT", HF_LOGS_HOW_TIMER, HF_LOGS_WHO_PATH, "envoy-route-15s", "Envoy's route timeout"},
        {"UMSDR", HF_LOGS_HOW_TIMER, HF_LOGS_WHO_PATH, "envoy-max-stream",
         "Envoy's max_stream_duration"},
        {"DT", HF_LOGS_HOW_TIMER, HF_LOGS_WHO_PATH, "envoy-max-stream",
         "Envoy's max_connection_duration or max_stream_duration"},
        {"DC", HF_LOGS_HOW_FIN, HF_LOGS_WHO_CLIENT, "", "the client's side ended the connection"},
        {"UC", HF_LOGS_HOW_FIN, HF_LOGS_WHO_SERVER, "", "the upstream ended the connection"},
        {"UR", HF_LOGS_HOW_RST, HF_LOGS_WHO_SERVER, "", "the upstream reset the stream"},
        {"LR", HF_LOGS_HOW_RST, HF_LOGS_WHO_PATH, "", "Envoy reset the stream"},
        {"DPE", HF_LOGS_HOW_FAULT, HF_LOGS_WHO_CLIENT, "", "a protocol error of the client"},
        {"UPE", HF_LOGS_HOW_FAULT, HF_LOGS_WHO_SERVER, "", "a protocol error of the upstream"},
        {"OM", HF_LOGS_HOW_KILLED, HF_LOGS_WHO_PATH, "", "Envoy's overload manager"},
    };
    struct hf_slice flag;
    while (hf_slice_next(&flags, ',', &flag)) {
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
            if (hf_slice_eq(flag, hf_slice_of(known[i].mark))) {
                hf_logs_put_meaning(e, &known[i]);
                return;
            }
        }
    }
}

static void finish_envoy(struct hf_logs_event *e, struct hf_slice status, struct hf_slice flags)
{
    int64_t n = hf_logs_count(status);
    e->http = n > 0 && n < 1000 ? (uint16_t)n : 0;
    e->resolution = 1000;
    if (e->at != HF_LOGS_NO_TIME && e->age >= 0) {
        e->at += e->age; /* START_TIME */
    }
    if (e->http == 101) {
        e->kind = HF_LOGS_END;
        read_flags(e, flags);
    } else {
        e->kind = e->http >= 400 ? HF_LOGS_HTTP : HF_LOGS_NOTHING;
    }
}

/* [START] "METHOD PATH PROTOCOL" CODE FLAGS (Istio: DETAILS TERMINATION "FAILURE") RECEIVED SENT
 * DURATION SERVICE "FORWARDED" "AGENT" "ID" "AUTHORITY" "UPSTREAM" ... */
enum hf_logs_claim hf_logs_read_envoy(struct hf_logs_reader *r, const struct hf_logs_inner *in,
                                      struct hf_logs_event *e, const char **why)
{
    struct hf_slice rest = in->text;
    struct hf_slice request;
    struct hf_slice status;
    struct hf_slice flags;
    struct hf_slice word[4];
    size_t len;
    if (rest.len < 24 || rest.ptr[0] != '[' ||
        !hf_logs_when_iso(hf_slice_from(rest, 1), r->clock.zone, &e->at, &len)) {
        return HF_LOGS_NOT_MINE;
    }
    rest = hf_slice_from(rest, 1 + len);
    if (!hf_slice_starts(rest, HF_LITERAL("] \""))) {
        return HF_LOGS_NOT_MINE;
    }
    rest = hf_slice_from(rest, 2);
    *why = "an Envoy access line that ends before its duration";
    if (!hf_logs_word(&rest, &request) || !hf_logs_word(&rest, &status) ||
        !hf_logs_word(&rest, &flags)) {
        return HF_LOGS_BROKEN;
    }
    for (int i = 0; i < 3; i++) {
        if (!hf_logs_word(&rest, &word[i])) {
            return HF_LOGS_BROKEN;
        }
    }
    if (hf_logs_count(word[0]) < 0) { /* Istio: those three were its own, these are the numbers */
        for (int i = 0; i < 3; i++) {
            if (!hf_logs_word(&rest, &word[i])) {
                return HF_LOGS_BROKEN;
            }
        }
    }
    (void)hf_logs_request(request, &e->path);
    e->bytes_up = hf_logs_count(word[0]);
    e->bytes_down = hf_logs_count(word[1]);
    e->age = hf_logs_ms(word[2]);
    if (hf_logs_word(&rest, &word[3]) && hf_logs_word(&rest, &e->address)) {
        for (int i = 0; i < 3 && hf_logs_word(&rest, &word[3]); i++) {
        }
        (void)hf_logs_word(&rest, &e->upstream);
    }
    if (hf_slice_eq(e->address, HF_LITERAL("-"))) {
        e->address.len = 0;
    }
    finish_envoy(e, status, flags);
    return HF_LOGS_MINE;
}

/* type time elb client:port target:port t t t elb_status target_status received sent "request"
 * "agent" cipher protocol target_group "trace" "domain" "certificate" priority creation_time ...
 * The time is when the answer was finished, the creation time when the request came: their
 * difference is the age. */
enum hf_logs_claim hf_logs_read_alb(struct hf_logs_reader *r, const struct hf_logs_inner *in,
                                    struct hf_logs_event *e, const char **why)
{
    struct hf_slice rest = in->text;
    struct hf_slice words[22];
    size_t len;
    int64_t created;
    size_t count = 0;
    struct hf_slice type = hf_slice_first(rest, hf_slice_find(rest, ' '));
    bool ws = hf_slice_eq(type, HF_LITERAL("ws")) || hf_slice_eq(type, HF_LITERAL("wss"));
    if (!ws && !hf_slice_eq(type, HF_LITERAL("http")) && !hf_slice_eq(type, HF_LITERAL("https")) &&
        !hf_slice_eq(type, HF_LITERAL("h2")) && !hf_slice_eq(type, HF_LITERAL("grpcs"))) {
        return HF_LOGS_NOT_MINE;
    }
    while (count < 22 && hf_logs_word(&rest, &words[count])) {
        count++;
    }
    if (count < 2 || !hf_logs_when_iso(words[1], r->clock.zone, &e->at, &len)) {
        return HF_LOGS_NOT_MINE;
    }
    e->resolution = 1;
    if (count < 22) {
        *why = "an ALB access line that ends before its request_creation_time";
        return HF_LOGS_BROKEN;
    }
    e->address = words[3];
    e->upstream = words[4];
    int64_t status = hf_logs_count(words[8]);
    e->http = status > 0 && status < 1000 ? (uint16_t)status : 0;
    e->bytes_up = hf_logs_count(words[10]);
    e->bytes_down = hf_logs_count(words[11]);
    (void)hf_logs_request(words[12], &e->path);
    if (hf_logs_when_iso(words[21], r->clock.zone, &created, &len) && created <= e->at) {
        e->age = e->at - created;
    }
    e->kind = ws && e->http == 101 ? HF_LOGS_END
              : ws                 ? HF_LOGS_REFUSED
              : e->http >= 400     ? HF_LOGS_HTTP
                                   : HF_LOGS_NOTHING;
    return HF_LOGS_MINE;
}
