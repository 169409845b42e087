/* SPDX-License-Identifier: Apache-2.0 */
/* Control messages: one table of keys, one of verbs, and the reader and writer that follow them. */
#include "session/control.h"

#include "ws/frame.h"

/* A key, in the order in which keys are written. */
enum key {
    SESSION,
    TOKEN,
    KEY,
    EPOCH,
    WINDOW,
    BUFFER,
    MESSAGE_MAX,
    BEAT,
    ACK,
    RECEIVED,
    SENT,
    RESUMED,
    PROTOCOL,
    N,
    BYTES,
    FROM,
    TO,
    ATTEMPT,
    IN,
    URL,
    VALUE,
    EXP,
    WHO,
    CODE,
    HTTP,
    RETRY,
    REASON,
    OLD_RECEIVED,
    KEYS,
};

struct key_row {
    const char *name;
    size_t offset; /* in struct hf_control */
    uint64_t max;  /* of a number; 0: a text */
};

#define TEXT_ROW(field)                                                                            \
    {                                                                                              \
#field, offsetof(struct hf_control, field), 0                                              \
    }
#define NUMBER_ROW(field, max)                                                                     \
    {                                                                                              \
#field, offsetof(struct hf_control, field), max                                            \
    }
#define COUNT_ROW(field) NUMBER_ROW(field, HF_COUNT_MAX - 1)

static const struct key_row keys[KEYS] = {
    [SESSION] = TEXT_ROW(session),
    [TOKEN] = TEXT_ROW(token),
    [KEY] = TEXT_ROW(key),
    [EPOCH] = COUNT_ROW(epoch),
    [WINDOW] = COUNT_ROW(window),
    [BUFFER] = COUNT_ROW(buffer),
    [MESSAGE_MAX] = COUNT_ROW(message_max),
    [BEAT] = COUNT_ROW(beat),
    [ACK] = COUNT_ROW(ack),
    [RECEIVED] = COUNT_ROW(received),
    [SENT] = COUNT_ROW(sent),
    [RESUMED] = NUMBER_ROW(resumed, 1),
    [PROTOCOL] = TEXT_ROW(protocol),
    [N] = COUNT_ROW(n),
    [BYTES] = COUNT_ROW(bytes),
    [FROM] = COUNT_ROW(from),
    [TO] = COUNT_ROW(to),
    [ATTEMPT] = COUNT_ROW(attempt),
    [IN] = COUNT_ROW(in),
    [URL] = TEXT_ROW(url),
    [VALUE] = TEXT_ROW(value),
    [EXP] = COUNT_ROW(exp),
    [WHO] = TEXT_ROW(who),
    [CODE] = NUMBER_ROW(code, 4999),
    [HTTP] = NUMBER_ROW(http, 999),
    [RETRY] = COUNT_ROW(retry),
    [REASON] = TEXT_ROW(reason),
    [OLD_RECEIVED] = COUNT_ROW(old_received),
};

#define BIT(key) (UINT32_C(1) << (key))

struct verb_row {
    const char *name;
    uint32_t needed;
    uint32_t optional;
};

static const struct verb_row verbs[HF_VERB_COUNT] = {
    [HF_VERB_UNKNOWN] = {"unknown", 0, 0},
    [HF_VERB_HELLO] = {"hello",
                       BIT(SESSION) | BIT(TOKEN) | BIT(KEY) | BIT(EPOCH) | BIT(WINDOW) |
                           BIT(BUFFER) | BIT(MESSAGE_MAX) | BIT(BEAT) | BIT(ACK) | BIT(RECEIVED) |
                           BIT(SENT) | BIT(RESUMED),
                       BIT(PROTOCOL) | BIT(REASON) | BIT(OLD_RECEIVED)},
    [HF_VERB_ACK] = {"ack", BIT(N), 0},
    [HF_VERB_LIVE] = {"live", BIT(SENT), 0},
    [HF_VERB_COMING] = {"coming", BIT(BYTES), 0},
    [HF_VERB_REBOUND] = {"rebound", BIT(FROM) | BIT(TO) | BIT(ATTEMPT), 0},
    [HF_VERB_GOAWAY] = {"goaway", BIT(IN), BIT(URL)},
    [HF_VERB_AUTH] = {"auth", BIT(VALUE), 0},
    [HF_VERB_AUTH_OK] = {"auth-ok", BIT(EXP), 0},
    [HF_VERB_BYE] = {"bye", BIT(CODE), BIT(REASON)},
    [HF_VERB_END] = {"end", BIT(WHO) | BIT(REASON), BIT(CODE) | BIT(HTTP) | BIT(RETRY)},
    [HF_VERB_CLOSE] = {"close", BIT(CODE), BIT(REASON)},
    [HF_VERB_GAP] = {"gap", BIT(FROM) | BIT(TO), 0},
};

enum hf_text_kind hf_text_kind(struct hf_slice payload)
{
    if (payload.len == 0 || payload.ptr[0] != HF_CONTROL_MARK) {
        return HF_TEXT_PLAIN;
    }
    if (payload.len == 1) {
        return HF_TEXT_BAD;
    }
    return payload.ptr[1] == HF_CONTROL_MARK ? HF_TEXT_ESCAPED : HF_TEXT_CONTROL;
}

const char *hf_verb_text(enum hf_verb verb)
{
    return verbs[verb].name;
}

static uint64_t *number_of(struct hf_control *c, enum key key)
{
    return (uint64_t *)(void *)((uint8_t *)c + keys[key].offset);
}

static struct hf_slice *text_of(struct hf_control *c, enum key key)
{
    return (struct hf_slice *)(void *)((uint8_t *)c + keys[key].offset);
}

void hf_control_init(struct hf_control *c, enum hf_verb verb)
{
    *c = (struct hf_control){.verb = verb};
    for (enum key key = 0; key < KEYS; key++) {
        if (keys[key].max > 0) {
            *number_of(c, key) = HF_NO_COUNT;
        }
    }
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static bool is_word(struct hf_slice word, uint8_t extra)
{
    for (size_t i = 0; i < word.len; i++) {
        if (!(word.ptr[i] >= 'a' && word.ptr[i] <= 'z') && word.ptr[i] != extra) {
            return false;
        }
    }
    return word.len > 0;
}

static enum hf_verb find_verb(struct hf_slice word)
{
    for (enum hf_verb verb = HF_VERB_HELLO; verb < HF_VERB_COUNT; verb++) {
        if (hf_slice_eq(word, hf_slice_of(verbs[verb].name))) {
            return verb;
        }
    }
    return HF_VERB_UNKNOWN;
}

/* Among the keys of a verb; KEYS when it is none of them. */
static enum key find_key(struct hf_slice word, uint32_t among)
{
    for (enum key key = 0; key < KEYS; key++) {
        if ((among & BIT(key)) != 0 && hf_slice_eq(word, hf_slice_of(keys[key].name))) {
            return key;
        }
    }
    return KEYS;
}

static int hex_digit(uint8_t c)
{
    const uint8_t letter = c | 0x20;
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

/* Decodes into room, which has the place: a value never grows. */
static const char *decode(struct hf_slice value, struct hf_buffer *room, struct hf_slice *decoded)
{
    uint8_t *const out = room->data + room->len;
    size_t len = 0;
    uint32_t state = 0;
    for (size_t i = 0; i < value.len; i++) {
        uint8_t byte = value.ptr[i];
        if (byte < 0x21) {
            return "a control character stands in a value";
        }
        if (byte == '%') {
            const int high = value.len - i < 3 ? -1 : hex_digit(value.ptr[i + 1]);
            const int low = high < 0 ? -1 : hex_digit(value.ptr[i + 2]);
            if (low < 0) {
                return "a value has a bad escape";
            }
            byte = (uint8_t)(high << 4 | low);
            i += 2;
        }
        out[len++] = byte;
    }
    *decoded = hf_slice(out, len);
    room->len += len;
    if (!hf_utf8_feed(&state, *decoded) || state != 0) {
        return "a value is not UTF-8";
    }
    return NULL;
}

/* One key=value of the verb's. `seen` has the bits of those before. */
static const char *read_pair(struct hf_slice pair, size_t room_needed, struct hf_buffer *room,
                             uint32_t *seen, struct hf_control *c)
{
    const size_t equals = hf_slice_find(pair, '=');
    const struct hf_slice word = hf_slice_first(pair, equals);
    struct hf_slice value = hf_slice_from(pair, equals + 1);
    if (equals == pair.len || !is_word(word, '_')) {
        return "what follows the verb is not key=value";
    }
    const enum key key = find_key(word, verbs[c->verb].needed | verbs[c->verb].optional);
    if (key < KEYS) {
        if ((*seen & BIT(key)) != 0) {
            return "a key stands twice";
        }
        *seen |= BIT(key);
        /* The short way for numbers: what has only digits needs no decoding. */
        if (keys[key].max > 0 && hf_slice_number(value, keys[key].max, number_of(c, key))) {
            return NULL;
        }
    }
    if (room->len == 0 && hf_buffer_reserve(room, room_needed) != HF_OK) {
        room->failed = true;
        return "no memory for a control message";
    }
    const char *fault = decode(value, room, &value);
    if (fault != NULL || key == KEYS) {
        return fault;
    }
    if (keys[key].max == 0) {
        *text_of(c, key) = value;
    } else if (!hf_slice_number(value, keys[key].max, number_of(c, key))) {
        return "a key has no number, or one that is too large";
    }
    return NULL;
}

const char *hf_control_read(struct hf_slice text, struct hf_buffer *room, struct hf_control *c)
{
    const size_t word = hf_slice_find(text, ' ');
    const struct hf_slice verb = hf_slice_first(text, word);
    uint32_t seen = 0;
    hf_buffer_clear(room);
    hf_control_init(c, find_verb(verb));
    if (!is_word(verb, '-')) {
        return "a control message has no verb";
    }
    if (text.len >= (c->verb == HF_VERB_AUTH ? HF_CONTROL_AUTH_MAX : HF_CONTROL_MAX)) {
        return "a control message is too long";
    }
    for (size_t at = word; at < text.len;) {
        struct hf_slice pair = hf_slice_from(text, at + 1);
        pair.len = hf_slice_find(pair, ' ');
        const char *fault = read_pair(pair, text.len, room, &seen, c);
        if (fault != NULL) {
            return fault;
        }
        at += 1 + pair.len;
    }
    if ((verbs[c->verb].needed & ~seen) != 0) {
        return "a key that is needed is missing";
    }
    return NULL;
}

/* ---- writing ----------------------------------------------------------------------------------
 */

/* What encodeURIComponent leaves as it is. */
static bool is_plain(uint8_t c)
{
    const uint8_t letter = c | 0x20;
    return (letter >= 'a' && letter <= 'z') || (c >= '0' && c <= '9') ||
           (c != 0 && memchr("-_.!~*'()", c, 9) != NULL);
}

void hf_control_encode_value(struct hf_slice value, struct hf_buffer *out)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < value.len; i++) {
        const uint8_t c = value.ptr[i];
        if (is_plain(c)) {
            (void)hf_buffer_add_byte(out, c);
        } else {
            const uint8_t escape[] = {'%', (uint8_t)digits[c >> 4], (uint8_t)digits[c & 15]};
            (void)hf_buffer_add(out, hf_slice(escape, sizeof(escape)));
        }
    }
}

void hf_control_write(const struct hf_control *c, struct hf_buffer *out)
{
    HF_ASSERT(c->verb > HF_VERB_UNKNOWN && c->verb < HF_VERB_COUNT);
    const struct verb_row *verb = &verbs[c->verb];
    struct hf_control copy = *c;
    (void)hf_buffer_add_text(out, verb->name);
    for (enum key key = 0; key < KEYS; key++) {
        if (((verb->needed | verb->optional) & BIT(key)) == 0) {
            continue;
        }
        const bool is_text = keys[key].max == 0;
        const bool present =
            is_text ? text_of(&copy, key)->ptr != NULL : *number_of(&copy, key) != HF_NO_COUNT;
        HF_ASSERT(present || (verb->needed & BIT(key)) == 0);
        if (!present) {
            continue;
        }
        (void)hf_buffer_add_byte(out, ' ');
        (void)hf_buffer_add_text(out, keys[key].name);
        (void)hf_buffer_add_byte(out, '=');
        if (is_text) {
            hf_control_encode_value(*text_of(&copy, key), out);
        } else {
            HF_ASSERT(*number_of(&copy, key) <= keys[key].max);
            (void)hf_buffer_add_number(out, (int64_t)*number_of(&copy, key));
        }
    }
}
