/* SPDX-License-Identifier: Apache-2.0 */
/* Heroku's router, cloudflared, Node's ws, and phrases of libraries and kernels that are known
 * wherever they stand in a line. Heroku's and cloudflared's are read as documented. */
#include "logs/lines.h"

#include "logs/when.h"

/* at=info method=GET path="/foo" host=h request_id=... fwd="1.2.3.4" dyno=web.1 connect=0ms
 * service=325252ms status=101 bytes=165 protocol=https */
enum hf_logs_claim hf_logs_read_heroku(struct hf_logs_reader *r, const struct hf_logs_inner *in,
                                       struct hf_logs_event *e, const char **why)
{
    struct hf_logs_members members;
    struct hf_slice s = in->text;
    if (hf_slice_starts(s, HF_LITERAL("heroku/router: "))) {
        s = hf_slice_from(s, sizeof("heroku/router: ") - 1);
    }
    if (!hf_slice_starts(s, HF_LITERAL("at=")) || !hf_logs_has(s, " dyno=")) {
        return HF_LOGS_NOT_MINE;
    }
    hf_logs_members_of_pairs(&members, s, &r->scratch);
    struct hf_slice service = hf_logs_member(&members, "service");
    struct hf_slice status = hf_logs_member(&members, "status");
    struct hf_slice code = hf_logs_member(&members, "code");
    if (status.len == 0) {
        *why = "a line of Heroku's router that ends before its status";
        return HF_LOGS_BROKEN;
    }
    if (hf_slice_ends(service, HF_LITERAL("ms"))) {
        e->age = hf_logs_ms(hf_slice_first(service, service.len - 2));
    }
    e->path = hf_logs_member(&members, "path");
    e->address = hf_logs_member(&members, "fwd");
    e->upstream = hf_logs_member(&members, "dyno");
    e->bytes_down = hf_logs_count(hf_logs_member(&members, "bytes"));
    int64_t n = hf_logs_count(status);
    e->http = n > 0 && n < 1000 ? (uint16_t)n : 0;
    bool idle = hf_slice_eq(code, HF_LITERAL("H15"));
    e->kind = e->http == 101 || idle ? HF_LOGS_END
              : e->http >= 400       ? HF_LOGS_HTTP
                                     : HF_LOGS_NOTHING;
    if (idle) {
        e->how = HF_LOGS_HOW_TIMER;
        e->who = HF_LOGS_WHO_PATH;
        e->cause = HF_LITERAL("heroku-55s");
        e->reason = HF_LITERAL("H15: idle connection");
    }
    return HF_LOGS_MINE;
}

/* 2026-09-19T05:33:35Z ERR Failed to ... error="..." connIndex=0; the stamp is off already. */
enum hf_logs_claim hf_logs_read_cloudflared(struct hf_logs_reader *r,
                                            const struct hf_logs_inner *in, struct hf_logs_event *e,
                                            const char **why)
{
    static const struct {
        const char *needle;
        enum hf_logs_kind kind;
        const char *what;
        const char *cause;
    } known[] = {
        {"timeout: no recent network activity", HF_LOGS_RESTART,
         "cloudflared lost its connection to the edge (QUIC idle)", "cfd-quic-idle-5s"},
        {"Initiating graceful shutdown", HF_LOGS_RESTART, "cloudflared was stopped",
         "cfd-grace-30s"},
        {"Lost connection with the edge", HF_LOGS_RESTART,
         "cloudflared lost its connection to the edge", "cfd-quic-idle-5s"},
        {"Connection terminated", HF_LOGS_RESTART, "a connection of cloudflared to the edge ended",
         ""},
        {"Unregistered tunnel connection", HF_LOGS_RESTART,
         "a connection of cloudflared to the edge ended", ""},
        {"Unable to reach the origin service", HF_LOGS_FAULT,
         "cloudflared could not reach the origin", ""},
        {"websocket: close 1006", HF_LOGS_FAULT, "a WebSocket ended without a Close frame", ""},
    };
    struct hf_slice s = in->text;
    (void)r;
    (void)why;
    bool levelled = s.len > 4 && s.ptr[3] == ' ' &&
                    (memcmp(s.ptr, "INF", 3) == 0 || memcmp(s.ptr, "ERR", 3) == 0 ||
                     memcmp(s.ptr, "WRN", 3) == 0 || memcmp(s.ptr, "DBG", 3) == 0 ||
                     memcmp(s.ptr, "FTL", 3) == 0);
    if (!levelled || (in->wraps & HF_LOGS_WRAP_STAMP) == 0) {
        return HF_LOGS_NOT_MINE;
    }
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (hf_logs_has(s, known[i].needle)) {
            e->kind = known[i].kind;
            e->what = hf_slice_of(known[i].what);
            e->cause = hf_slice_of(known[i].cause);
            return HF_LOGS_MINE;
        }
    }
    return HF_LOGS_MINE;
}

/* Node prints an error as its message, a trace, and its properties in braces. The code is what
 * counts; the message before it is read as nothing, so that one error is one. */
enum hf_logs_claim hf_logs_read_node(struct hf_logs_reader *r, const struct hf_logs_inner *in,
                                     struct hf_logs_event *e, const char **why)
{
    static const struct {
        const char *code;
        const char *cause;
        const char *what;
        uint16_t close;
    } known[] = {
        {"WS_ERR_INVALID_UTF8", "proto-1007", "ws: text that is not UTF-8", 1007},
        {"WS_ERR_UNSUPPORTED_MESSAGE_LENGTH", "ws-max-payload",
         "ws: a message larger than maxPayload", 1009},
        {"WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH", "ws-max-payload", "ws: a frame too large", 1009},
        {"WS_ERR_TOO_MANY_BUFFERED_PARTS", "ws-numfragments-bug",
         "ws: too many fragments of a message", 1008},
        {"WS_ERR_EXPECTED_MASK", "proto-1002", "ws: an unmasked frame", 1002},
        {"WS_ERR_", "proto-1002", "ws: a frame that breaks RFC 6455", 1002},
        {"Too many message fragments", "ws-numfragments-bug", "ws: too many fragments of a message",
         1008},
    };
    struct hf_slice s = in->text;
    (void)why;
    if (hf_slice_starts(s, HF_LITERAL("Error: Invalid WebSocket frame")) ||
        hf_slice_starts(s, HF_LITERAL("RangeError: Invalid WebSocket frame")) ||
        hf_slice_starts(s, HF_LITERAL("RangeError: Max payload size exceeded"))) {
        r->continued = HF_LOGS_CONTINUED;
        return HF_LOGS_MINE;
    }
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (hf_logs_has(s, known[i].code)) {
            e->kind = HF_LOGS_FAULT;
            e->what = hf_slice_of(known[i].what);
            e->cause = hf_slice_of(known[i].cause);
            e->code = known[i].close;
            return HF_LOGS_MINE;
        }
    }
    return HF_LOGS_NOT_MINE;
}

enum hf_logs_claim hf_logs_read_phrases(struct hf_logs_reader *r, const struct hf_logs_inner *in,
                                        struct hf_logs_event *e, const char **why)
{
    static const struct {
        const char *needle;
        enum hf_logs_kind kind;
        const char *what;
        const char *cause;
        uint16_t code;
    } known[] = {
        {"keepalive ping timeout", HF_LOGS_FAULT,
         "a ping was not answered with its pong (websockets, Uvicorn)", "", 1011},
        {"websocket: close 1006 (abnormal closure)", HF_LOGS_FAULT,
         "a WebSocket ended without a Close frame (gorilla)", "", 1006},
        {"CloseReason[1006", HF_LOGS_FAULT, "a WebSocket ended without a Close frame (Java)", "",
         1006},
        {"did not receive server activity for the last", HF_LOGS_FAULT,
         "a STOMP client missed the server's heartbeat", "stomp-hb", 0},
        {"Server timeout elapsed without receiving a message", HF_LOGS_FAULT,
         "a SignalR client missed the server", "signalr-core", 0},
        {"SessionLimitExceededException", HF_LOGS_LIMITER, "Spring's limit of a slow session",
         "spring-limits", 0},
        {"ChannelFull", HF_LOGS_LIMITER, "a Django Channels channel was full", "channels-capacity",
         0},
        {"Out of memory: Killed process", HF_LOGS_RESTART,
         "the kernel killed a process: out of memory", "oom-kill", 0},
        {"Memory cgroup out of memory: Killed process", HF_LOGS_RESTART,
         "the kernel killed a process: its memory limit", "oom-kill", 0},
        {"nf_conntrack: table full", HF_LOGS_LIMITER, "the kernel's connection table was full",
         "conntrack-5d", 0},
        {"Too many open files", HF_LOGS_LIMITER, "too many open files", "fd-limit", 0},
        {"EMFILE", HF_LOGS_LIMITER, "too many open files", "fd-limit", 0},
    };
    struct hf_slice s = in->text;
    (void)r;
    (void)why;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (hf_logs_has(s, known[i].needle)) {
            e->kind = known[i].kind;
            e->what = hf_slice_of(known[i].what);
            e->cause = hf_slice_of(known[i].cause);
            e->code = known[i].code;
            return HF_LOGS_MINE;
        }
    }
    return HF_LOGS_NOT_MINE;
}
