/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target without libFuzzer over every file of the directories (or files) named as
 * arguments, so that what was found once is looked at in every test run. A failure aborts behind
 * the name of its file. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#define FILE_BYTES_MAX (1 << 20)
#define PATH_CHARS_MAX 4096

static size_t files;

/* False when the file cannot be read. */
static bool replay_file(const char *path)
{
    uint8_t *bytes = malloc(FILE_BYTES_MAX);
    FILE *file = fopen(path, "rb");
    bool ok = bytes != NULL && file != NULL;

    if (ok) {
        struct hf_slice copy;

        (void)fprintf(stderr, "%s\n", path);
        copy = exact(hf_slice(bytes, fread(bytes, 1, FILE_BYTES_MAX, file)));
        ok = ferror(file) == 0 && feof(file) != 0;
        (void)LLVMFuzzerTestOneInput(copy.ptr, copy.len);
        exact_free(copy);
        files++;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    free(bytes);
    return ok;
}

static bool replay_directory(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    bool ok = dir != NULL;

    while (ok && (entry = readdir(dir)) != NULL) {
        char name[PATH_CHARS_MAX];

        if (entry->d_name[0] != '.') {
            ok = snprintf(name, sizeof(name), "%s/%s", path, entry->d_name) < PATH_CHARS_MAX &&
                 replay_file(name);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return ok;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct stat st;
        bool ok = stat(argv[i], &st) == 0 &&
                  (S_ISDIR(st.st_mode) ? replay_directory(argv[i]) : replay_file(argv[i]));

        if (!ok) {
            (void)fprintf(stderr, "cannot read %s\n", argv[i]);
            return 1;
        }
    }
    if (files == 0) {
        (void)fprintf(stderr, "no file was replayed\n");
        return 1;
    }
    (void)LLVMFuzzerTestOneInput(NULL, 0);
    (void)fprintf(stderr, "%zu files\n", files);
    return 0;
}
