/* SPDX-License-Identifier: Apache-2.0 */
/* The table of toxics: see toxic.h. */
#include "chaos/toxic.h"

#define MS_MAX 315360000000.0 /* ten years */
#define COUNT_MAX 9007199254740992.0
#define AT(member) offsetof(struct hf_toxic, member)
#define MS(name, member, fallback, what)                                                           \
    {                                                                                              \
        name, HF_ATTRIBUTE_MS, AT(member), 0, MS_MAX, fallback, NULL, what                         \
    }
#define NUMBER(name, member, least, most, fallback, what)                                          \
    {                                                                                              \
        name, HF_ATTRIBUTE_NUMBER, AT(member), least, most, fallback, NULL, what                   \
    }
#define PART(name, member, fallback, what)                                                         \
    {                                                                                              \
        name, HF_ATTRIBUTE_REAL, AT(member), 0, 1, fallback, NULL, what                            \
    }
#define WORD(name, member, words, fallback, what)                                                  \
    {                                                                                              \
        name, HF_ATTRIBUTE_WORD, AT(member), 0, 0, fallback, words, what                           \
    }
#define TEXT(name, member, fallback, what)                                                         \
    {                                                                                              \
        name, HF_ATTRIBUTE_TEXT, AT(member), 0, 0, 0, fallback, what                               \
    }

#define ENDS "fin rst silence forget close none"
/* Three attributes of whatever ends a connection. */
#define ENDING(first, number, said)                                                                \
    WORD("action", ending.action, ENDS, first, "what is done to the connection"),                  \
        NUMBER("code", ending.code, 1000, 4999, number, "of the Close frame, with action close"),  \
        TEXT("reason", ending.reason, said, "of the Close frame, with action close")

const struct hf_toxic_type hf_toxic_types[HF_TOXIC_KINDS] = {
    [HF_TOXIC_LATENCY] = {"latency",
                          "delays all data",
                          HF_WAY_DOWN,
                          2,
                          {MS("latency", u.latency.latency, 0, "delay of each piece"),
                           MS("jitter", u.latency.jitter, 0, "at most so much more or less")}},
    [HF_TOXIC_BANDWIDTH] = {"bandwidth",
                            "limits the rate of data",
                            HF_WAY_DOWN,
                            1,
                            {NUMBER("rate", u.bandwidth.rate, 0, COUNT_MAX, 0,
                                    "kilobytes a second; 0: nothing passes")}},
    [HF_TOXIC_SLOW_CLOSE] = {"slow_close",
                             "delays the end of TCP",
                             HF_WAY_DOWN,
                             1,
                             {MS("delay", u.slow_close.delay, 0, "before FIN is passed on")}},
    [HF_TOXIC_TIMEOUT] = {"timeout",
                          "drops all data, and ends the connection after a time",
                          HF_WAY_DOWN,
                          1,
                          {MS("timeout", u.timeout.timeout, 0, "to the end; 0: it never comes")}},
    [HF_TOXIC_RESET_PEER] = {"reset_peer",
                             "resets the connection after its first data",
                             HF_WAY_DOWN,
                             1,
                             {MS("timeout", u.reset_peer.timeout, 0, "after the first data")}},
    [HF_TOXIC_SLICER] = {"slicer",
                         "cuts data into small pieces",
                         HF_WAY_DOWN,
                         3,
                         {NUMBER("average_size", u.slicer.average_size, 0, COUNT_MAX, 0,
                                 "bytes of a piece; 0: not cut"),
                          NUMBER("size_variation", u.slicer.size_variation, 0, COUNT_MAX, 0,
                                 "at most so many bytes more or less"),
                          {"delay", HF_ATTRIBUTE_US, AT(u.slicer.delay), 0, MS_MAX, 0, NULL,
                           "microseconds between two pieces"}}},
    [HF_TOXIC_LIMIT_DATA] = {"limit_data",
                             "ends the connection after so many bytes",
                             HF_WAY_DOWN,
                             1,
                             {NUMBER("bytes", u.limit_data.bytes, 0, COUNT_MAX, 0, "that pass")}},
    [HF_TOXIC_IDLE_TIMEOUT] =
        {"idle_timeout",
         "ends a connection on which nothing that counts has gone by for so long",
         HF_WAY_DOWN,
         7,
         {MS("timeout", u.idle.timeout, 60000, "without activity; 0: never"),
          MS("jitter", u.idle.jitter, 0, "at most so much more or less, drawn for each connection"),
          {"counts", HF_ATTRIBUTE_SET, AT(u.idle.counts), 0, 0, HF_COUNTS_BYTES,
           "bytes data messages pings pongs", "what counts as activity, with commas between"},
          WORD("direction", u.idle.direction, "both upstream downstream each", 0,
               "whose activity counts; each: every direction has its own timer"),
          ENDING(HF_ACTION_FIN, 1001, "idle timeout")}},
    [HF_TOXIC_MAX_LIFETIME] = {"max_lifetime",
                               "ends a connection at an age, whatever goes by",
                               HF_WAY_DOWN,
                               5,
                               {MS("lifetime", u.lifetime.lifetime, 30000,
                                   "from the open; 0: never"),
                                MS("jitter", u.lifetime.jitter, 0,
                                   "at most so much more or less, drawn for each connection"),
                                ENDING(HF_ACTION_FIN, 1000, "")}},
    [HF_TOXIC_RATE_LIMIT] =
        {"rate_limit",
         "allows so many messages in a window",
         HF_WAY_UP,
         7,
         {NUMBER("messages", u.rate.messages, 0, 1000000, 20, "that pass; 0: no limit"),
          MS("window", u.rate.window, 60000, "its length; 0: the whole life"),
          WORD("kind", u.rate.kind, "fixed sliding bucket", 0, "of the window"),
          WORD("counts", u.rate.counts, "client client_frames server both frames", 0,
               "what is a message: of the client; each of its frames; each data frame of the "
               "server; of both; each frame of both"),
          WORD("action", ending.action, ENDS " delay drop", HF_ACTION_CLOSE,
               "done at the first one beyond"),
          NUMBER("code", ending.code, 1000, 4999, 1008, "of the Close frame, with action close"),
          TEXT("reason", ending.reason, "rate limit", "of the Close frame, with action close")}},
    [HF_TOXIC_MAX_MESSAGE] =
        {"max_message",
         "ends a connection on which a larger message comes",
         HF_WAY_UP,
         4,
         {NUMBER("bytes", u.size.bytes, 0, COUNT_MAX, 1048576, "the largest that passes"),
          WORD("action", ending.action, ENDS " delay drop", HF_ACTION_CLOSE,
               "what is done to the connection; drop: to the message"),
          NUMBER("code", ending.code, 1000, 4999, 1009, "of the Close frame, with action close"),
          TEXT("reason", ending.reason, "message too big",
               "of the Close frame, with action close")}},
    [HF_TOXIC_CLOSE_FRAME] =
        {"close_frame",
         "sends the client a Close frame",
         HF_WAY_DOWN,
         4,
         {MS("after", u.close.after, 0, "from the open; 0: not by time"),
          NUMBER("messages", u.close.messages, 0, COUNT_MAX, 0,
                 "whole client messages after which it comes; 0: not by count"),
          NUMBER("code", ending.code, 1000, 4999, 1000, "of the Close frame; 1005: it has none"),
          TEXT("reason", ending.reason, "", "of the Close frame")}},
    [HF_TOXIC_WATCHDOG] =
        {"watchdog",
         "plays a server that pings the client and gives up when no answer comes",
         HF_WAY_DOWN,
         10,
         {MS("interval", u.watchdog.interval, 20000, "between pings; the first at this age"),
          MS("timeout", u.watchdog.timeout, 20000, "for the answer to a ping"),
          WORD("ping", u.watchdog.ping, "ws text none", 0,
               "a WebSocket ping, a text message, or nothing"),
          TEXT("text", u.watchdog.text, "2", "of the ping, when it is a text message"),
          WORD("answer", u.watchdog.answer, "matching pong message any", 0,
               "a pong with the same payload, any pong, a message, or any byte of the client"),
          WORD("suppress", u.watchdog.suppress, "nothing messages bytes", 0,
               "what of the client postpones the next ping, and counts as an answer"),
          WORD("phase", u.watchdog.random_phase, "open random", 0,
               "pings count from the open, or from a timer that runs all the time"),
          ENDING(HF_ACTION_FIN, 1011, "keepalive ping timeout")}},
    [HF_TOXIC_KILL_ON_PING] = {"kill_on_ping",
                               "ends a connection when the first ping goes by in this direction",
                               HF_WAY_DOWN,
                               4,
                               {MS("delay", u.kill.delay, 0, "from the ping to the end"),
                                ENDING(HF_ACTION_RST, 1011, "")}},
    [HF_TOXIC_DROP_PONGS] = {"drop_pongs", "lets no pong pass", HF_WAY_UP, 0, {{0}}},
    [HF_TOXIC_REWRITE_PINGS] =
        {"rewrite_pings",
         "a hop that does not pass pings on as they came",
         HF_WAY_DOWN,
         1,
         {WORD("mode", u.rewrite.mode, "empty answer", 0,
               "empty: without their payload; answer: the hop answers itself")}},
    [HF_TOXIC_BLACKHOLE] =
        {"blackhole",
         "nothing passes; when it ends, what waited goes on, as TCP sends it again",
         HF_WAY_DOWN,
         3,
         {MS("after", u.blackhole.after, 0, "from the open"),
          MS("for", u.blackhole.length, 0, "its length; 0: for ever, and what comes is lost"),
          WORD("direction", u.blackhole.direction, "both upstream downstream", 0,
               "what is swallowed")}},
    [HF_TOXIC_HANDOVER] =
        {"handover",
         "the network changes: open connections become black holes, new ones work",
         HF_WAY_DOWN,
         2,
         {MS("after", u.handover.after, 0, "from the open; 0: not by age"),
          MS("period", u.handover.period, 0, "by the box's clock; 0: not by the clock")}},
    [HF_TOXIC_HALF_CLOSE] = {"half_close",
                             "ends one direction with FIN; the other one goes on",
                             HF_WAY_DOWN,
                             1,
                             {MS("after", u.half_close.after, 1000, "from the open")}},
    [HF_TOXIC_BUFFER] = {"buffer",
                         "a buffering proxy: holds data until there is enough of it",
                         HF_WAY_DOWN,
                         2,
                         {NUMBER("bytes", u.buffer.bytes, 0, 4194304, 16384,
                                 "that are passed on together; 0: only by time"),
                          MS("time", u.buffer.time, 0,
                             "after which they are passed on all the same; 0: only by count")}},
    [HF_TOXIC_LOSS] = {"loss",
                       "stalls as lost packets make them",
                       HF_WAY_DOWN,
                       2,
                       {PART("rate", u.loss.rate, 0.01, "the part of the pieces that is lost"),
                        MS("delay", u.loss.delay, 200,
                           "of a loss, doubled when it is lost again; what follows waits")}},
    [HF_TOXIC_BLOCKED] = {"blocked",
                          "a blocked server: it neither reads nor answers",
                          HF_WAY_DOWN,
                          8,
                          {MS("after", u.blocked.after, 0,
                              "from the open, or offset on the box's clock"),
                           MS("period", u.blocked.period, 0,
                              "by the box's clock, all connections at once; 0: once, by age"),
                           MS("for", u.blocked.length, 20000, "its length; 0: for ever"),
                           MS("give_up", u.blocked.give_up, 0,
                              "ends a connection whose data has waited so long; 0: never"),
                           WORD("end", u.blocked.ends, "stays ends", 0,
                                "when it is over: the connection stays, or ends by `action`"),
                           ENDING(HF_ACTION_FIN, 1011, "")}},
    [HF_TOXIC_RESTART] =
        {"restart",
         "all connections end at one instant",
         HF_WAY_DOWN,
         7,
         {MS("period", u.restart.period, 60000, "between two restarts, on the box's clock"),
          MS("offset", u.restart.offset, 0, "of the first one; 0: a period"),
          MS("jitter", u.restart.jitter, 0, "of each restart: at most so much later"),
          MS("down", u.restart.down, 0, "so long nothing listens"),
          ENDING(HF_ACTION_FIN, 1012, "service restart")}},
    [HF_TOXIC_REFUSE] = {"refuse",
                         "answers the handshake instead of passing it on",
                         HF_WAY_UP,
                         5,
                         {NUMBER("status", u.refuse.status, 0, 599, 503,
                                 "HTTP status; 0: the end without one"),
                          TEXT("body", u.refuse.body, "", "of the answer"),
                          TEXT("headers", u.refuse.headers, "", "of the answer, a line each"),
                          MS("delay", u.refuse.delay, 0, "before the answer"),
                          PART("probability", u.refuse.probability, 1, "for each connection")}},
    [HF_TOXIC_STRIP_UPGRADE] =
        {"strip_upgrade", "takes Upgrade and Connection out of requests", HF_WAY_UP, 0, {{0}}},
};
