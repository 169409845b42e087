/* SPDX-License-Identifier: Apache-2.0 */
/* What holdfast chaos says: help, lists, and the live log of what was done to whom. */
#include "tools/chaos.h"

#include <stdio.h>

void chaos_say_help(void)
{
    fputs(
        "usage: holdfast chaos [--profile NAME | -c FILE.yaml] --upstream ADDRESS [OPTION]...\n"
        "       holdfast chaos --profile NAME [--backend echo|push|silent|stream]\n"
        "       holdfast chaos --api [ADDRESS]\n\n"
        "A middlebox that puts faults into connections: it listens, connects on, and ends, "
        "delays,\n"
        "drops or rewrites as the profile says. It understands WebSocket, and passes everything\n"
        "else as bytes.\n\n"
        "  -p, --profile NAME     what it imitates; --list names them (default: none)\n"
        "  -c, --config FILE      a profile of your own, in the form that --print writes\n"
        "      --listen ADDRESS   HOST:PORT; default 127.0.0.1 and a port of the system's choice\n"
        "      --upstream ADDRESS HOST:PORT, ws://HOST:PORT or unix:/PATH\n"
        "      --backend KIND     a server of its own as the upstream: echo (default when there "
        "is\n"
        "                         no --upstream), push, silent or stream; echo answers\n"
        "                         {\"stream\":N} with N chunks\n"
        "      --api [ADDRESS]    toxiproxy's HTTP API, at 127.0.0.1:8474 unless it is said\n"
        "      --scale F          multiplies all times: with 0.1 a minute takes 6 s\n"
        "      --set TOXIC.ATTRIBUTE=VALUE\n"
        "                         overrides; before --scale; as often as you like\n"
        "      --seed N           repeats the random choices; default: another one each time\n"
        "      --for TIME         ends by itself, as with 90s; default: at Ctrl-C\n"
        "      --list             the profiles, a line each\n"
        "      --toxics           the toxics with their attributes\n"
        "      --print            the profile as YAML, overridden and scaled, and exits\n"
        "      --ground-truth     what a diagnosis of it should say, as JSON, and exits\n"
        "      --json             what happens as lines of JSON\n"
        "  -q, --quiet            only the URL\n"
        "      --no-color         no colours (also: NO_COLOR in the environment)\n"
        "  -h, --help             print this\n\n"
        "Exit code: 0 when it was ended; 1 when it cannot listen; 2 for a mistake in the words or "
        "the file.\n",
        stdout);
}

void chaos_say_profiles(struct chaos_command *c)
{
    struct hf_slice name;
    for (size_t i = 0; hf_chaos_profile_at(i, &name); i++) {
        struct hf_chaos_profile *p = NULL;
        if (hf_chaos_profile_find(name, &p) != HF_OK) {
            continue;
        }
        struct hf_buffer *json = hf_say_begin(&c->say, "profile");
        if (json != NULL) {
            hf_json_text(json, "name", name);
            hf_json_string(json, "about", hf_chaos_profile_about(p));
            hf_say_end(&c->say);
        } else {
            hf_say_line(&c->say, "%s%-20.*s%s %s", hf_say_paint(&c->say, HF_PAINT_BOLD),
                        HF_SLICE_ARG(name), hf_say_paint(&c->say, HF_PAINT_PLAIN),
                        hf_chaos_profile_about(p));
        }
        hf_chaos_profile_free(p);
    }
}

static void say_attribute(const struct hf_toxic *t, const struct hf_attribute *a)
{
    struct hf_buffer out;
    bool worded = a->kind == HF_ATTRIBUTE_WORD || a->kind == HF_ATTRIBUTE_SET;
    hf_buffer_init(&out, &hf_heap, 65536);
    hf_toxic_value(t, a, &out);
    printf("    %-15s %s%s%s%s", a->name, a->what, a->kind == HF_ATTRIBUTE_MS ? " (ms)" : "",
           worded ? ": " : "", worded ? a->words : "");
    if (out.len > 0) {
        printf("; default %.*s", HF_SLICE_ARG(hf_buffer_slice(&out)));
    }
    putchar('\n');
    hf_buffer_reset(&out);
}

void chaos_say_toxics(void)
{
    for (size_t i = 0; i < HF_TOXIC_KINDS; i++) {
        const struct hf_toxic_type *type = &hf_toxic_types[i];
        struct hf_toxic *t = hf_toxic_new(type);
        printf("%s: %s (stream: %s)\n", type->name, type->what, hf_way_text(type->way));
        for (size_t j = 0; j < type->count && t != NULL; j++) {
            say_attribute(t, &type->attributes[j]);
        }
        hf_toxic_free(t);
    }
}

/* ---- the live log -----------------------------------------------------------------------------
 */

void chaos_say_start(struct chaos_command *c, const char *url, const char *api)
{
    const char *name = c->profile == NULL ? "none" : hf_chaos_profile_name(c->profile);
    struct hf_buffer *json = hf_say_begin(&c->say, "chaos");
    if (json != NULL) {
        hf_json_string(json, "profile", name);
        if (url != NULL) {
            hf_json_string(json, "url", url);
            hf_json_string(json, "upstream", c->upstream);
        }
        if (api != NULL) {
            hf_json_string(json, "api", api);
        }
        (void)hf_buffer_addf(json, ",\"scale\":%g,\"seed\":%llu", c->scale,
                             (unsigned long long)c->seed);
        hf_say_end(&c->say);
        return;
    }
    if (c->quiet) {
        hf_say_line(&c->say, "%s", url != NULL ? url : api);
        return;
    }
    const char *bold = hf_say_paint(&c->say, HF_PAINT_BOLD);
    const char *plain = hf_say_paint(&c->say, HF_PAINT_PLAIN);
    if (url != NULL) {
        hf_say_line(&c->say, "%s%s%s: %s", bold, name, plain,
                    c->profile == NULL ? "no toxics" : hf_chaos_profile_about(c->profile));
        hf_say_line(&c->say, "connect to %s%s%s; it goes on to %s", bold, url, plain, c->upstream);
    }
    if (api != NULL) {
        hf_say_line(&c->say, "toxiproxy's API is at %shttp://%s%s", bold, api, plain);
    }
    hf_say_line(&c->say, "times are multiplied by %g; --seed %llu repeats this; Ctrl-C ends it\n",
                c->scale, (unsigned long long)c->seed);
}

static void say_json(struct chaos_command *c, const struct hf_chaos_event *e)
{
    struct hf_buffer *json = hf_say_begin(&c->say, hf_chaos_news_text(e->news));
    if (json == NULL) {
        return;
    }
    hf_json_string(json, "proxy", e->proxy);
    if (e->link != 0) {
        hf_json_number(json, "link", (int64_t)e->link);
        hf_json_string(json, "peer", e->peer);
        hf_json_ms(json, "age_ms", e->age);
    }
    if (e->toxic != NULL) {
        hf_json_string(json, "toxic", e->toxic->name);
    }
    if (e->what != NULL) {
        hf_json_string(json, e->news == HF_CHAOS_ENDED ? "by" : "what", e->what);
    }
    if (e->news == HF_CHAOS_ENDED) {
        hf_json_number(json, "messages_up", (int64_t)e->messages[HF_WAY_UP]);
        hf_json_number(json, "messages_down", (int64_t)e->messages[HF_WAY_DOWN]);
        hf_json_number(json, "bytes_up", (int64_t)e->bytes[HF_WAY_UP]);
        hf_json_number(json, "bytes_down", (int64_t)e->bytes[HF_WAY_DOWN]);
    }
    hf_say_end(&c->say);
}

static void say_text(struct chaos_command *c, const struct hf_chaos_event *e)
{
    const char *plain = hf_say_paint(&c->say, HF_PAINT_PLAIN);
    const char *grey = hf_say_paint(&c->say, HF_PAINT_GREY);
    double at = (double)(hf_loop_now(c->loop) - c->begun) / 1e6;
    double age = (double)e->age / 1e6;
    char who[96] = "";
    struct hf_buffer name; /* a stranger's, by the API */
    hf_buffer_init(&name, &hf_heap, 4096);
    hf_say_clean(hf_slice_of(e->proxy), 60, &name);
    (void)snprintf(who, sizeof(who), "%.*s", HF_SLICE_ARG(hf_buffer_slice(&name)));
    if (e->toxic != NULL) {
        hf_buffer_clear(&name);
        hf_say_clean(hf_slice_of(e->toxic->name), 200, &name);
    }
    if (e->link != 0) {
        (void)snprintf(who, sizeof(who), "#%llu %s", (unsigned long long)e->link, e->peer);
    }
    switch (e->news) {
    case HF_CHAOS_LISTENING:
    case HF_CHAOS_STOPPED:
        hf_say_line(&c->say, "%s%9.3f%s  %.*s: %s %s", grey, at, plain,
                    HF_SLICE_ARG(hf_buffer_slice(&name)), hf_chaos_news_text(e->news), e->what);
        break;
    case HF_CHAOS_ACCEPTED:
        break;
    case HF_CHAOS_OPENED:
        hf_say_line(&c->say, "%s%9.3f%s  %-26s opened", grey, at, plain, who);
        break;
    case HF_CHAOS_ACTED:
        hf_say_line(&c->say, "%s%9.3f%s  %-26s %s%.*s%s%s%s, at the age of %.3f s", grey, at, plain,
                    who, hf_say_paint(&c->say, HF_PAINT_YELLOW),
                    e->toxic == NULL ? 0 : (int)name.len, (const char *)name.data,
                    e->toxic == NULL ? "" : ": ", e->what, plain, age);
        break;
    case HF_CHAOS_ENDED:
        hf_say_line(&c->say,
                    "%s%9.3f%s  %-26s ended by %s after %.3f s, %llu messages up, %llu down", grey,
                    at, plain, who, e->what == NULL ? "nobody" : e->what, age,
                    (unsigned long long)e->messages[HF_WAY_UP],
                    (unsigned long long)e->messages[HF_WAY_DOWN]);
        break;
    }
    hf_buffer_reset(&name);
}

void chaos_say_event(void *owner, const struct hf_chaos_event *event)
{
    struct chaos_command *c = owner;
    if (c->json) {
        say_json(c, event);
    } else if (!c->quiet) {
        say_text(c, event);
    }
}

void chaos_say_sum(struct chaos_command *c)
{
    struct hf_buffer *json = hf_say_begin(&c->say, "sum");
    if (json != NULL) {
        hf_json_number(json, "accepted", (int64_t)hf_chaos_accepted(c->chaos));
        hf_json_number(json, "open", (int64_t)hf_chaos_link_count(c->chaos));
        hf_say_end(&c->say);
    } else if (!c->quiet) {
        hf_say_line(&c->say, "\n%llu connections, %zu of them still open",
                    (unsigned long long)hf_chaos_accepted(c->chaos), hf_chaos_link_count(c->chaos));
    }
}
