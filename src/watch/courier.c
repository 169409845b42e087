/* SPDX-License-Identifier: Apache-2.0 */
/* The courier: see courier.h. Its thread turns curl's multi interface, in which all posts run side
 * by side, and watches the commands it started by their descriptors. */
#include "watch/courier.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "policy/backoff.h"

extern char **environ;

struct letter {
    struct letter *next;
    struct hf_buffer body; /* of the post, or the variables of the command */
    bool refresh;          /* of what was said already: one is enough */
};

struct channel {
    const struct hf_watch_channel_settings *settings;
    struct letter *first; /* the one on its way, or next */
    struct letter *last;
    uint32_t tries; /* of the first */
    hf_time retry_at;
    hf_time deadline; /* of a command */
    struct hf_backoff backoff;
    CURL *easy; /* on its way; NULL: none */
    struct curl_slist *headers;
    char answer[120]; /* the beginning of what came back */
    char problem[CURL_ERROR_SIZE];
    pid_t pid; /* on its way; 0: none */
    int pidfd;
    struct hf_courier_state state;
};

struct hf_courier {
    pthread_t thread;
    CURLM *multi;
    struct hf_random random; /* the thread's */
    pthread_mutex_t lock;    /* over all below */
    bool retired;
    bool done;
    hf_time end_at;
    size_t count;
    struct channel channels[HF_WATCH_CHANNELS_MAX];
};

static hf_time monotonic(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return HF_SECONDS(t.tv_sec) + t.tv_nsec / 1000;
}

/* ---- queues; under the lock --------------------------------------------------------------- */

static void drop_first(struct channel *ch)
{
    struct letter *letter = ch->first;
    ch->first = letter->next;
    ch->state.waiting--;
    ch->tries = 0;
    ch->retry_at = 0;
    hf_buffer_reset(&letter->body);
    free(letter);
}

static bool is_busy(const struct channel *ch)
{
    return ch->easy != NULL || ch->pid != 0;
}

static void add_letter(struct channel *ch, struct letter *letter)
{
    struct letter *oldest = ch->first;
    if (ch->state.waiting == HF_COURIER_WAITING_MAX) { /* the second, for the first is on its way */
        struct letter *second = oldest->next;
        oldest->next = second->next;
        hf_buffer_reset(&second->body);
        free(second);
        ch->state.waiting--;
        ch->state.lost++;
    }
    if (ch->first == NULL) {
        ch->first = letter;
    } else {
        ch->last->next = letter;
    }
    ch->last = letter;
    ch->state.waiting++;
}

static bool is_named(const struct channel *ch, char *const *names)
{
    if (names == NULL || names[0] == NULL) {
        return true;
    }
    for (; *names != NULL; names++) {
        if (strcmp(*names, ch->settings->name) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_wanted(const struct channel *ch, const struct hf_alert *a, char *const *names,
                      bool refresh)
{
    const struct hf_watch_channel_settings *s = ch->settings;
    bool manager = s->type == HF_CHANNEL_ALERTMANAGER;
    if ((s->kinds >> a->kind & 1) == 0 || !is_named(ch, names)) {
        return false;
    }
    if (refresh) { /* what waits already says it */
        return manager && ch->first == NULL;
    }
    return !((a->notice == HF_NOTICE_RECOVERY && !s->recovery) ||
             (a->notice == HF_NOTICE_REMINDER && (!s->reminders || manager)));
}

static struct letter *write_letter(const struct channel *ch, const struct hf_alert *a)
{
    struct letter *letter = calloc(1, sizeof(*letter));
    if (letter == NULL) {
        return NULL;
    }
    hf_buffer_init(&letter->body, &hf_heap, (size_t)1 << 20);
    switch (ch->settings->type) {
    case HF_CHANNEL_JSON:
        hf_alert_json(a, &letter->body);
        break;
    case HF_CHANNEL_SLACK:
        hf_alert_slack(a, &letter->body);
        break;
    case HF_CHANNEL_ALERTMANAGER:
        hf_alert_alertmanager(a, a->time + ch->settings->resend / 1000 * 4 + 10000, &letter->body);
        break;
    case HF_CHANNEL_COMMAND:
        hf_alert_environment(a, &letter->body);
        break;
    }
    if (letter->body.failed) {
        hf_buffer_reset(&letter->body);
        free(letter);
        return NULL;
    }
    return letter;
}

static void carry(struct hf_courier *c, const struct hf_alert *a, char *const *names, bool refresh)
{
    (void)pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->count && !c->retired; i++) {
        struct channel *ch = &c->channels[i];
        if (!is_wanted(ch, a, names, refresh)) {
            continue;
        }
        struct letter *letter = write_letter(ch, a);
        if (letter == NULL) {
            ch->state.lost++;
        } else {
            letter->refresh = refresh;
            add_letter(ch, letter);
        }
    }
    (void)pthread_mutex_unlock(&c->lock);
    (void)curl_multi_wakeup(c->multi);
}

void hf_courier_send(struct hf_courier *c, const struct hf_alert *a, char *const *names)
{
    carry(c, a, names, false);
}

void hf_courier_refresh(struct hf_courier *c, const struct hf_alert *a, char *const *names)
{
    carry(c, a, names, true);
}

void hf_courier_look(struct hf_courier *c, size_t channel, struct hf_courier_state *state)
{
    (void)pthread_mutex_lock(&c->lock);
    *state = c->channels[channel].state;
    (void)pthread_mutex_unlock(&c->lock);
}

/* ---- the end of an attempt; under the lock -------------------------------------------------- */

/* error NULL: it went well. wait: what the other side asks for; 0: backoff decides. */
static void attempt_ended(struct hf_courier *c, struct channel *ch, const char *error,
                          bool hopeless, hf_time wait)
{
    if (error == NULL) {
        ch->state.error[0] = '\0';
        ch->state.delivered += !ch->first->refresh;
        hf_backoff_reset(&ch->backoff);
        drop_first(ch);
        return;
    }
    (void)snprintf(ch->state.error, sizeof(ch->state.error), "%s", error);
    ch->state.failed++;
    ch->tries++;
    if (hopeless || ch->tries >= ch->settings->tries) {
        ch->state.lost += !ch->first->refresh;
        drop_first(ch);
        return;
    }
    const struct hf_backoff_rules rules = {
        .base = HF_SECONDS(1) < ch->settings->retry_max ? HF_SECONDS(1) : ch->settings->retry_max,
        .factor_percent = 200,
        .cap = ch->settings->retry_max};
    hf_time pause = hf_backoff_next(&ch->backoff, &rules, &c->random);
    ch->retry_at = monotonic() + (wait > pause ? wait : pause);
}

/* ---- posts ----------------------------------------------------------------------------------- */

static size_t on_answer(char *bytes, size_t size, size_t count, void *owner)
{
    struct channel *ch = owner;
    size_t len = strlen(ch->answer);
    for (size_t i = 0; i < size * count && len + 1 < sizeof(ch->answer); i++) {
        ch->answer[len++] = bytes[i] >= ' ' && bytes[i] < 0x7f ? bytes[i] : ' ';
    }
    return size * count;
}

static bool add_header(struct channel *ch, const char *text)
{
    struct curl_slist *list = curl_slist_append(ch->headers, text);
    ch->headers = list == NULL ? ch->headers : list;
    return list != NULL;
}

static bool set_headers(struct channel *ch)
{
    const struct hf_watch_channel_settings *s = ch->settings;
    bool good = add_header(ch, "Content-Type: application/json") && add_header(ch, "Expect:");
    if (s->token != NULL) {
        struct hf_buffer line;
        hf_buffer_init(&line, &hf_heap, 65536);
        hf_buffer_addf(&line, "Authorization: Bearer %s", s->token);
        hf_buffer_add_byte(&line, '\0');
        good = good && !line.failed && add_header(ch, (const char *)line.data);
        hf_buffer_reset(&line);
    }
    for (size_t i = 0; i < s->headers.count; i++) {
        good = good && add_header(ch, s->headers.items[i]);
    }
    return good;
}

static bool set_url(struct channel *ch)
{
    const struct hf_watch_channel_settings *s = ch->settings;
    struct hf_slice base = hf_slice_of(s->url);
    struct hf_buffer url;
    hf_buffer_init(&url, &hf_heap, 65536);
    bool manager = s->type == HF_CHANNEL_ALERTMANAGER;
    if (manager && hf_slice_ends(base, HF_LITERAL("/"))) {
        base.len--;
    }
    hf_buffer_add(&url, base);
    hf_buffer_add_text(&url, manager ? "/api/v2/alerts" : "");
    hf_buffer_add_byte(&url, '\0');
    bool good =
        !url.failed && curl_easy_setopt(ch->easy, CURLOPT_URL, (const char *)url.data) == CURLE_OK;
    hf_buffer_reset(&url);
    return good;
}

static void forget_post(struct hf_courier *c, struct channel *ch)
{
    if (ch->easy != NULL) {
        (void)curl_multi_remove_handle(c->multi, ch->easy);
        curl_easy_cleanup(ch->easy);
    }
    curl_slist_free_all(ch->headers);
    ch->easy = NULL;
    ch->headers = NULL;
}

static void start_post(struct hf_courier *c, struct channel *ch)
{
    const struct hf_watch_channel_settings *s = ch->settings;
    CURL *e = curl_easy_init();
    ch->easy = e;
    ch->answer[0] = ch->problem[0] = '\0';
    bool good = e != NULL && set_headers(ch) && set_url(ch);
    if (good) {
        (void)curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
        (void)curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
        (void)curl_easy_setopt(e, CURLOPT_USERAGENT, "holdfast/" HF_VERSION);
        (void)curl_easy_setopt(e, CURLOPT_HTTPHEADER, ch->headers);
        (void)curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)(s->timeout / 1000));
        (void)curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE, (long)ch->first->body.len);
        (void)curl_easy_setopt(e, CURLOPT_POSTFIELDS, (const char *)ch->first->body.data);
        (void)curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_answer);
        (void)curl_easy_setopt(e, CURLOPT_WRITEDATA, ch);
        (void)curl_easy_setopt(e, CURLOPT_ERRORBUFFER, ch->problem);
        (void)curl_easy_setopt(e, CURLOPT_PRIVATE, ch);
        if (s->cacert != NULL) {
            (void)curl_easy_setopt(e, CURLOPT_CAINFO, s->cacert);
        }
        good = curl_multi_add_handle(c->multi, e) == CURLM_OK;
    }
    if (!good) {
        forget_post(c, ch);
        attempt_ended(c, ch, "there is no memory for a post", false, 0);
    }
}

/* A refusal that another attempt would not change. */
static bool is_hopeless(long status)
{
    return status == 400 || status == 401 || status == 403 || status == 405 || status == 410 ||
           status == 413 || status == 422;
}

static void post_ended(struct hf_courier *c, struct channel *ch, CURLcode code)
{
    char error[200];
    long status = 0;
    curl_off_t wait = 0;
    (void)curl_easy_getinfo(ch->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(ch->easy, CURLINFO_RETRY_AFTER, &wait);
    if (code != CURLE_OK) {
        (void)snprintf(error, sizeof(error), "%.180s",
                       ch->problem[0] != '\0' ? ch->problem : curl_easy_strerror(code));
    } else if (status < 200 || status >= 300) {
        (void)snprintf(error, sizeof(error), "it answered %ld: %s", status, ch->answer);
    }
    bool good = code == CURLE_OK && status >= 200 && status < 300;
    forget_post(c, ch);
    (void)pthread_mutex_lock(&c->lock);
    attempt_ended(c, ch, good ? NULL : error, code == CURLE_OK && is_hopeless(status),
                  wait > 0 && wait < 3600 ? HF_SECONDS(wait) : 0);
    (void)pthread_mutex_unlock(&c->lock);
}

static void read_posts(struct hf_courier *c)
{
    int left = 0;
    CURLMsg *message;
    (void)curl_multi_perform(c->multi, &left);
    while ((message = curl_multi_info_read(c->multi, &left)) != NULL) {
        char *ch = NULL;
        if (message->msg == CURLMSG_DONE) {
            CURLcode code = message->data.result;
            (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &ch);
            post_ended(c, (struct channel *)(void *)ch, code);
        }
    }
}

/* ---- commands -------------------------------------------------------------------------------- */

/* Ours and the alert's variables; the array alone is to be freed. */
static char **environment_of(const struct hf_buffer *variables)
{
    size_t count = 0;
    for (char **e = environ; *e != NULL; e++) {
        count++;
    }
    for (size_t i = 0; i < variables->len; i++) {
        count += variables->data[i] == '\0';
    }
    char **all = calloc(count + 1, sizeof(char *));
    size_t n = 0;
    for (char **e = environ; all != NULL && *e != NULL; e++) {
        if (strncmp(*e, "HOLDFAST_", 9) != 0) {
            all[n++] = *e;
        }
    }
    for (size_t i = 0; all != NULL && i < variables->len;
         i += strlen((const char *)variables->data + i) + 1) {
        all[n++] = (char *)variables->data + i;
    }
    return all;
}

/* 0, or an errno. The child has its own process group, no descriptor of ours but standard error,
 * and all signals as they are by default. No shell sees any word. */
static int spawn(struct channel *ch, char **environment)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none;
    sigset_t all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    if (posix_spawn_file_actions_init(&files) != 0) {
        return ENOMEM;
    }
    if (posix_spawnattr_init(&how) != 0) {
        (void)posix_spawn_file_actions_destroy(&files);
        return ENOMEM;
    }
    (void)posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_adddup2(&files, 2, 1);
    (void)posix_spawn_file_actions_addclosefrom_np(&files, 3);
    (void)posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                             POSIX_SPAWN_SETSIGDEF);
    (void)posix_spawnattr_setpgroup(&how, 0);
    (void)posix_spawnattr_setsigmask(&how, &none);
    (void)posix_spawnattr_setsigdefault(&how, &all);
    int error = posix_spawnp(&ch->pid, ch->settings->command.items[0], &files, &how,
                             ch->settings->command.items, environment);
    (void)posix_spawn_file_actions_destroy(&files);
    (void)posix_spawnattr_destroy(&how);
    return error;
}

static void start_command(struct hf_courier *c, struct channel *ch)
{
    char **environment = environment_of(&ch->first->body);
    int error = environment == NULL ? ENOMEM : spawn(ch, environment);
    free(environment);
    if (error != 0) {
        char text[200];
        (void)snprintf(text, sizeof(text), "%.100s cannot be started: %s",
                       ch->settings->command.items[0], strerror(error));
        ch->pid = 0;
        attempt_ended(c, ch, text, false, 0);
        return;
    }
    ch->pidfd = pidfd_open(ch->pid, 0);
    ch->deadline = monotonic() + ch->settings->timeout;
}

static void command_ended(struct hf_courier *c, struct channel *ch, int status, bool late)
{
    char error[200] = "";
    if (late) {
        (void)snprintf(error, sizeof(error), "the command did not end in time and was killed");
    } else if (WIFSIGNALED(status)) {
        (void)snprintf(error, sizeof(error), "the command was ended by signal %d",
                       WTERMSIG(status));
    } else if (WEXITSTATUS(status) != 0) {
        (void)snprintf(error, sizeof(error), "the command ended with %d", WEXITSTATUS(status));
    }
    if (ch->pidfd >= 0) {
        (void)close(ch->pidfd);
    }
    ch->pid = 0;
    (void)pthread_mutex_lock(&c->lock);
    attempt_ended(c, ch, error[0] == '\0' ? NULL : error, false, 0);
    (void)pthread_mutex_unlock(&c->lock);
}

static void read_commands(struct hf_courier *c)
{
    for (size_t i = 0; i < c->count; i++) {
        struct channel *ch = &c->channels[i];
        int status = 0;
        if (ch->pid == 0) {
            continue;
        }
        bool late = monotonic() >= ch->deadline;
        if (late) {
            (void)kill(-ch->pid, SIGKILL);
            (void)kill(ch->pid, SIGKILL); /* it may have left its group */
        }
        if (waitpid(ch->pid, &status, late ? 0 : WNOHANG) == ch->pid) {
            command_ended(c, ch, status, late);
        }
    }
}

/* ---- the thread -------------------------------------------------------------------------------
 */

/* Starts what can start. Milliseconds until something else may; -1: it is done. */
static int start_attempts(struct hf_courier *c)
{
    hf_time now = monotonic();
    hf_time next = now + HF_SECONDS(60);
    bool idle = true;
    (void)pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->count; i++) {
        struct channel *ch = &c->channels[i];
        while (ch->first != NULL && !is_busy(ch) && ch->retry_at <= now) {
            if (ch->settings->type == HF_CHANNEL_COMMAND) {
                start_command(c, ch);
            } else {
                start_post(c, ch);
            }
        }
        idle = idle && ch->first == NULL;
        if (ch->first != NULL && !is_busy(ch) && ch->retry_at < next) {
            next = ch->retry_at;
        }
        if (ch->pid != 0 && ch->deadline < next) {
            next = ch->deadline;
        }
    }
    if (c->retired && c->end_at < next) {
        next = c->end_at;
    }
    bool done = c->retired && (idle || now >= c->end_at);
    (void)pthread_mutex_unlock(&c->lock);
    return done ? -1 : next <= now ? 0 : (int)((next - now) / 1000) + 1;
}

static void wait_for_something(struct hf_courier *c, int ms)
{
    struct curl_waitfd watched[HF_WATCH_CHANNELS_MAX];
    unsigned count = 0;
    for (size_t i = 0; i < c->count; i++) {
        const struct channel *ch = &c->channels[i];
        if (ch->pid != 0 && ch->pidfd >= 0) {
            watched[count++] = (struct curl_waitfd){.fd = ch->pidfd, .events = CURL_WAIT_POLLIN};
        } else if (ch->pid != 0 && ms > 50) {
            ms = 50; /* a kernel without pidfds */
        }
    }
    (void)curl_multi_poll(c->multi, watched, count, ms, NULL);
}

static void end_all(struct hf_courier *c)
{
    for (size_t i = 0; i < c->count; i++) {
        struct channel *ch = &c->channels[i];
        forget_post(c, ch);
        if (ch->pid != 0) {
            (void)kill(-ch->pid, SIGKILL);
            (void)kill(ch->pid, SIGKILL);
            (void)waitpid(ch->pid, NULL, 0);
            if (ch->pidfd >= 0) {
                (void)close(ch->pidfd);
            }
            ch->pid = 0;
        }
        (void)pthread_mutex_lock(&c->lock);
        while (ch->first != NULL) {
            ch->state.lost++;
            drop_first(ch);
        }
        (void)pthread_mutex_unlock(&c->lock);
    }
}

static void *thread_main(void *owner)
{
    struct hf_courier *c = owner;
    int ms;
    while ((ms = start_attempts(c)) >= 0) {
        wait_for_something(c, ms);
        read_posts(c);
        read_commands(c);
    }
    end_all(c);
    (void)pthread_mutex_lock(&c->lock);
    c->done = true;
    (void)pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* ---- life --------------------------------------------------------------------------------------
 */

struct hf_courier *hf_courier_new(const struct hf_watch_channel_settings *channels, size_t count)
{
    struct hf_courier *c = calloc(1, sizeof(*c));
    if (c == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
        (c->multi = curl_multi_init()) == NULL) {
        free(c);
        return NULL;
    }
    (void)pthread_mutex_init(&c->lock, NULL);
    hf_random_init(&c->random, (uint64_t)monotonic());
    c->count = count;
    for (size_t i = 0; i < count; i++) {
        c->channels[i].settings = &channels[i];
        hf_backoff_init(&c->channels[i].backoff);
    }
    if (pthread_create(&c->thread, NULL, thread_main, c) != 0) {
        (void)curl_multi_cleanup(c->multi);
        (void)pthread_mutex_destroy(&c->lock);
        free(c);
        return NULL;
    }
    return c;
}

void hf_courier_retire(struct hf_courier *c, hf_time within)
{
    (void)pthread_mutex_lock(&c->lock);
    c->retired = true;
    c->end_at = monotonic() + within;
    (void)pthread_mutex_unlock(&c->lock);
    (void)curl_multi_wakeup(c->multi);
}

bool hf_courier_is_done(struct hf_courier *c)
{
    (void)pthread_mutex_lock(&c->lock);
    bool done = c->done;
    (void)pthread_mutex_unlock(&c->lock);
    return done;
}

void hf_courier_free(struct hf_courier *c)
{
    if (c == NULL) {
        return;
    }
    (void)pthread_join(c->thread, NULL);
    (void)curl_multi_cleanup(c->multi);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}
