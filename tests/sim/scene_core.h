/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the scene share: scene.c (time, the story, the end), scene_gate.c (the
 * gateway), scene_app.c (applications on the library), scene_served.c (the backend), scene_raw.c
 * (clients by hand). */
#ifndef HF_TESTS_SIM_SCENE_CORE_H
#define HF_TESTS_SIM_SCENE_CORE_H

#include "scene.h"

#include "base/slice.h"
#include "ws/endpoint.h"
#include "ws/frame.h"

#include <stdio.h>
#include <stdlib.h>

#define SCENE_DOOR "10.0.0.1:80"
#define SCENE_KEY "dGhlIHNhbXBsZSBub25jZQ=="
/* How messages begin that belong to a prologue. */
#define SCENE_SUBSCRIBES "{\"sub\":"
/* Attempts from here on are of clients by hand. */
#define SCENE_STRANGERS 1000000
/* The environment variable that holds the secret of the tokens. */
#define SCENE_SECRET "SIM_TOKEN_SECRET"

/* ---- scene.c ---- */
void notes_add(struct notes *n, uint8_t opcode, uint32_t size);
/* Message `index` of a sender as bytes; owned by the caller. */
uint8_t *scene_content(uint64_t sender, uint32_t index, struct note note);
bool scene_subscribes(uint64_t sender, uint32_t index, struct note note);
bool scene_same(uint64_t sender, uint32_t index, struct note note, uint8_t opcode,
                struct hf_slice data);
/* A token of the principal. */
void scene_token(struct scene *s, const char *subject, int64_t good_ms, struct hf_buffer *out);
/* When it expires; 0: never, or it is none. */
int64_t scene_token_exp(struct hf_slice token);
struct hf_address scene_host(const char *text);
struct app *scene_app(struct scene *s, uint64_t id);

/* ---- scene_gate.c ---- */
struct gate *gate_new(struct scene *s);
void gate_free(struct scene *s);
/* What must hold inside, always. */
void gate_check(struct scene *s);
bool gate_is_idle(struct scene *s);
void gate_check_empty(struct scene *s);
struct hf_address gate_door(const struct scene *s);
/* How far the gateway is with a session; false when it does not have it. */
struct gate_counts {
    uint64_t received, sent, written;
};
bool gate_counts(const struct scene *s, const struct life *life, struct gate_counts *counts);
/* The session that asks the backend for a connection with the URL of this attempt; 0: none. */
uint64_t gate_asks(const struct scene *s, const struct app *a, unsigned attempt);
/* The key of the application's session, for POSTs; false when there is none. */
bool gate_key(const struct scene *s, const struct app *a, char key[64]);
/* Messages of the client that were written to the backend in this session. */
uint32_t gate_written(const struct scene *s, uint64_t session);
uint32_t gate_boot_id(const struct scene *s);
bool gate_has_two(const struct scene *s);

/* ---- scene_app.c ---- */
uint64_t app_key(const struct app *a);
void app_free(struct app *a);
void app_check(struct app *a);
/* An application that has closed before its session was open is not told of the open. */
void app_opens_silently(struct app *a, struct served *b);
void life_free(struct life *life);
/* How many of its messages there are so far. */
uint32_t life_count(const struct life *life);

/* ---- scene_served.c ---- */
uint64_t served_key(const struct served *b);
void served_free(struct served *b);
/* Its application has opened the session. */
void served_bind(struct served *b, struct life *life);
/* Messages that the whole chain got, in numbers of the session. */
uint32_t served_reached(const struct served *b);
bool served_is_disturbed(const struct served *b);

/* ---- scene_raw.c ---- */
void raw_free(struct raw *r);

#endif
