/* SPDX-License-Identifier: Apache-2.0 */
/* What can go wrong with the machine, and the assertion for what can go wrong with us.
 * A peer's misbehaviour is never a status: it is an event with a row in the table of causes. */
#ifndef HF_BASE_STATUS_H
#define HF_BASE_STATUS_H

#define HF_MUST_USE __attribute__((warn_unused_result))
#define HF_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

enum hf_status {
    HF_OK = 0,
    HF_NO_MEMORY,      /* an allocation failed, or a named maximum was reached */
    HF_NO_DESCRIPTORS, /* the process or the system has no descriptor left */
    HF_NO_ADDRESS,     /* the address cannot be bound, or is not one of ours */
    HF_IN_USE,         /* the address is taken by another process */
    HF_DENIED,         /* the kernel refuses it to this user */
    HF_NOT_FOUND,      /* no such file or name */
    HF_INVALID,        /* the caller's words are wrong: a file's content, a certificate */
    HF_IO,             /* the kernel reports an error that has no name above */
};

/* A short lower-case phrase for a message: "out of memory". Never NULL. */
const char *hf_status_text(enum hf_status status);

/* Prints the broken assumption and aborts. Always compiled in. */
_Noreturn void hf_assert_failed(const char *what, const char *file, int line);

#define HF_ASSERT(what)                                                                            \
    do {                                                                                           \
        if (__builtin_expect(!(what), 0)) {                                                        \
            hf_assert_failed(#what, __FILE__, __LINE__);                                           \
        }                                                                                          \
    } while (0)

#endif
