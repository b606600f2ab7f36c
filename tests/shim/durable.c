/* A disk that loses its power: keeps, beside the directory MLC_SHIM_FROM, what of its files is durable, in
 * MLC_SHIM_TO. Loaded into a process with LD_PRELOAD.
 *
 * - A file's bytes are durable as they were when the file was last synced.
 * - A file's name is durable, or gone, as it was when the directory was last synced.
 * - Files whose name ends in MLC_SHIM_DEAF, if given, are not made durable at all, although the sync succeeds.
 *
 * Copies are renamed into place, so that a process that is killed while copying leaves the state before.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH 4096
/* Bytes that were synced before their name was. */
#define UNNAMED ".unnamed-"
#define PARTIAL ".partial-"

static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;

static void fail(const char *what) {
    perror(what);
    abort();
}

static int ends_with(const char *text, const char *end) {
    size_t text_length = strlen(text), end_length = strlen(end);
    return text_length >= end_length && strcmp(text + text_length - end_length, end) == 0;
}

static void join(char *path, const char *directory, const char *prefix, const char *name) {
    if (snprintf(path, PATH, "%s/%s%s", directory, prefix, name) >= PATH) fail("path");
}

static void copy(const char *from, const char *to, const char *partial) {
    char buffer[1 << 16];
    ssize_t count;
    int in = open(from, O_RDONLY), out = open(partial, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (in < 0 || out < 0) fail("open");
    while ((count = read(in, buffer, sizeof buffer)) > 0)
        if (write(out, buffer, (size_t)count) != count) fail("write");
    if (count < 0) fail("read");
    close(in);
    close(out);
    if (rename(partial, to) != 0) fail("rename");
}

static void file_synced(const char *from, const char *to, const char *path) {
    const char *name = strrchr(path, '/') + 1, *deaf = getenv("MLC_SHIM_DEAF");
    char named[PATH], unnamed[PATH], partial[PATH];
    (void)from;
    if (deaf && ends_with(name, deaf)) return;
    join(named, to, "", name);
    join(unnamed, to, UNNAMED, name);
    join(partial, to, PARTIAL, name);
    copy(path, access(named, F_OK) == 0 ? named : unnamed, partial);
}

static void directory_synced(const char *from, const char *to) {
    struct dirent *entry;
    char here[PATH], named[PATH], unnamed[PATH];
    DIR *directory = opendir(from);
    if (!directory) fail("opendir");
    while ((entry = readdir(directory))) {
        join(here, from, "", entry->d_name);
        join(named, to, "", entry->d_name);
        join(unnamed, to, UNNAMED, entry->d_name);
        struct stat status;
        if (stat(here, &status) != 0 || !S_ISREG(status.st_mode) || access(named, F_OK) == 0) continue;
        if (rename(unnamed, named) != 0) close(open(named, O_WRONLY | O_CREAT, 0600));
    }
    closedir(directory);
    if (!(directory = opendir(to))) fail("opendir");
    while ((entry = readdir(directory))) {
        join(here, from, "", entry->d_name);
        join(named, to, "", entry->d_name);
        if (entry->d_name[0] != '.' && access(here, F_OK) != 0) unlink(named);
    }
    closedir(directory);
}

static void synced(int fd) {
    const char *from = getenv("MLC_SHIM_FROM"), *to = getenv("MLC_SHIM_TO");
    char link[64], path[PATH];
    if (!from || !to) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) fail("readlink");
    path[length] = 0;
    size_t from_length = strlen(from);
    if (strncmp(path, from, from_length) != 0) return;
    pthread_mutex_lock(&one);
    if (path[from_length] == 0) directory_synced(from, to);
    if (path[from_length] == '/') file_synced(from, to, path);
    pthread_mutex_unlock(&one);
}

/* The disk need not be bothered: only the durable copy counts. */
int fsync(int fd) {
    synced(fd);
    return 0;
}

int fdatasync(int fd) {
    synced(fd);
    return 0;
}
