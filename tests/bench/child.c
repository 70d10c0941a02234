/* SPDX-License-Identifier: Apache-2.0 */
/*
 * child.c - a measurement in a process of its own.
 *
 * What must hold: the child's growth of resident memory is caused by what is measured alone. So the parent's freed
 * memory is given back to the system first (else it would be used again unseen), and the figures travel by pipe.
 */
#include "bench.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

__attribute__((noreturn)) static void be_child(void (*measure)(void *ctx, double *figures), void *ctx, size_t n, int fd)
{
    double *figures = bench_alloc(n, sizeof(*figures));
    ssize_t bytes = (ssize_t)(n * sizeof(*figures));

    malloc_trim(0);
    measure(ctx, figures);
    _exit(write(fd, figures, (size_t)bytes) == bytes ? 0 : 1);
}

void bench_child(void (*measure)(void *ctx, double *figures), void *ctx, double *figures, size_t n)
{
    ssize_t bytes = (ssize_t)(n * sizeof(*figures));
    int fds[2], status = 0;
    pid_t pid;

    fflush(stdout);
    if (pipe(fds) != 0)
        bench_die("no pipe could be made");
    pid = fork();
    if (pid < 0)
        bench_die("no child could be forked");
    if (pid == 0)
        be_child(measure, ctx, n, fds[1]);
    close(fds[1]);
    /* A pipe's few bytes come whole or, if the child died, not at all. */
    if (read(fds[0], figures, (size_t)bytes) != bytes)
        bench_die("a child that measured memory has failed");
    close(fds[0]);
    if (waitpid(pid, &status, 0) != pid || status != 0)
        bench_die("a child that measured memory ended with status %d", status);
}
