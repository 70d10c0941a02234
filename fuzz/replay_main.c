/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replays saved inputs through one fuzz target: a main() where libFuzzer has none. Arguments are files and folders.
 *
 * What must hold: the target sees exactly the bytes of each file, in memory of exactly that size, so that a sanitizer or
 * valgrind sees a read past the end; and a run that replayed nothing fails, since it would prove nothing.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t n_replayed;

static void die(const char *what, const char *path)
{
    perror(path);
    fprintf(stderr, "replay: %s\n", what);
    exit(1);
}

/* The bytes of a file in a block of exactly their size. */
static uint8_t *read_whole(FILE *file, const char *path, size_t *size)
{
    if (fseek(file, 0, SEEK_END) != 0)
        die("cannot seek", path);
    const long end = ftell(file);
    if (end < 0 || fseek(file, 0, SEEK_SET) != 0)
        die("cannot seek", path);
    *size = (size_t)end;
    uint8_t *data = malloc(*size);
    if ((data == NULL && *size > 0) || fread(data, 1, *size, file) != *size)
        die("cannot read", path);
    return data;
}

static void replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        die("cannot open", path);
    size_t size = 0;
    uint8_t *data = read_whole(file, path, &size);
    fclose(file);
    /* Before the call, so that the last line of a crash names its input. */
    printf("%s (%zu bytes)\n", path, size);
    fflush(stdout);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    n_replayed++;
}

static void replay_folder(DIR *folder, const char *path)
{
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (entry->d_name[0] == '.')
            continue;
        char name[4096];
        const int n = snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        if (n < 0 || (size_t)n >= sizeof(name))
            die("path too long", path);
        replay_file(name);
    }
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        if (folder != NULL) {
            replay_folder(folder, argv[i]);
            closedir(folder);
        } else {
            replay_file(argv[i]);
        }
    }
    printf("%zu inputs replayed\n", n_replayed);
    return n_replayed > 0 ? 0 : 1;
}
