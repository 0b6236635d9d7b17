#include "tools.h"
#include "answers.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void read_all(FILE *f, dm_buf *b)
{
    char *room;
    size_t n;
    while ((room = dm_buf_room(b, 65536)) && (n = fread(room, 1, 65536, f)) > 0)
        b->len += n;
    dm_buf_char(b, 0);
    b->len--;
}

static int json_get(char *path)
{
    dm_buf b;
    dm_buf_init(&b, (size_t)1 << 30);
    read_all(stdin, &b);
    cJSON *root = cJSON_ParseWithOpts(b.data, NULL, true);
    if (!root) { /* JSON Lines: the last one */
        while (b.len && b.data[b.len - 1] == '\n')
            b.data[--b.len] = 0;
        char *line = memrchr(b.data, '\n', b.len);
        root = cJSON_Parse(line ? line + 1 : b.data);
    }
    const cJSON *v = root;
    for (char *key = path, *next; key && v; key = next) {
        next = strchr(key, '.');
        if (next)
            *next++ = 0;
        v = cJSON_IsArray(v) ? cJSON_GetArrayItem(v, (int)strtol(key, NULL, 10))
                             : cJSON_GetObjectItemCaseSensitive(v, key);
    }
    char *text = cJSON_IsString(v) ? dm_copy_string(v->valuestring)
                 : v               ? cJSON_PrintUnformatted(v)
                                   : NULL;
    if (text)
        puts(text);
    free(text);
    cJSON_Delete(root);
    dm_buf_free(&b);
    return text ? 0 : 1;
}

static int connect_to(char *host)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    char *colon = strchr(host, ':');
    if (!colon || strncmp(host, "127.", 4) != 0)
        return -1;
    *colon = 0;
    a.sin_port = htons((uint16_t)strtol(colon + 1, NULL, 10));
    int fd = inet_pton(AF_INET, host, &a.sin_addr) == 1 ? socket(AF_INET, SOCK_STREAM, 0) : -1;
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int request(const char *method, char *host, const char *path, const char *file)
{
    dm_buf body, b;
    int code = 69;
    ssize_t n;
    char *room;
    FILE *f = file ? fopen(file, "r") : NULL;
    if (file && !f)
        return 65;
    dm_buf_init(&body, (size_t)1 << 30);
    dm_buf_init(&b, (size_t)1 << 30);
    if (f) {
        read_all(f, &body);
        fclose(f);
    }
    int fd = connect_to(host);
    dm_buf_printf(&b,
                  "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Type: "
                  "application/json\r\nContent-Length: %zu\r\n\r\n",
                  method, path, host, body.len);
    dm_buf_str(&b, dm_buf_view(&body));
    if (fd >= 0 && send(fd, b.data, b.len, MSG_NOSIGNAL) == (ssize_t)b.len) {
        dm_buf_reset(&b);
        while ((room = dm_buf_room(&b, 65536)) && (n = recv(fd, room, 65536, 0)) > 0)
            b.len += (size_t)n;
        const char *head = b.len ? memmem(b.data, b.len, "\r\n\r\n", 4) : NULL;
        if (head) {
            size_t skip = (size_t)(head + 4 - b.data);
            fwrite(head + 4, 1, b.len - skip, stdout);
            code = strncmp(b.data, "HTTP/1.1 200", 12) == 0 ? 0 : 1;
        }
    }
    if (fd >= 0)
        close(fd);
    dm_buf_free(&b);
    dm_buf_free(&body);
    return code;
}

static int make_data(int argc, char **argv)
{
    uint64_t seed = 1;
    long n = argc > 0 ? strtol(argv[0], NULL, 10) : 0, from = 0;
    if (argc == 3 && argv[1][0] != '-') {
        seed = strtoull(argv[1], NULL, 10);
        from = strtol(argv[2], NULL, 10);
    } else {
        for (int i = 1; i < argc; i += 2)
            if (i + 1 < argc && strcmp(argv[i], "--seed") == 0)
                seed = strtoull(argv[i + 1], NULL, 10);
            else if (i + 1 < argc && strcmp(argv[i], "--from") == 0)
                from = strtol(argv[i + 1], NULL, 10);
            else
                return 64;
    }
    for (long i = from; i < from + n; i++)
        printf("{\"question\": \"item %ld: what is its label?\", \"answer\": \"%s\"}\n", i,
               mock_planted_label(seed, i));
    return 0;
}

int mock_tool(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--json-get") == 0)
        return argc == 3 ? json_get(argv[2]) : 64;
    if (strcmp(name, "--fetch") == 0)
        return argc == 4 ? request("GET", argv[2], argv[3], NULL) : 64;
    if (strcmp(name, "--post") == 0)
        return argc == 4 || argc == 5 ? request("POST", argv[2], argv[3], argv[4]) : 64;
    if (strcmp(name, "--make-data") == 0)
        return make_data(argc - 2, argv + 2);
    if (strcmp(name, "--make-cert") == 0)
        return argc != 5 && argc != 6 ? 64
               : mock_tls_make_cert(argv[2], argv[3], argv[4],
                                    argc == 6 ? strtol(argv[5], NULL, 10) : 30)
                   ? 0
                   : 69;
    if (strcmp(name, "--list-journal") == 0)
        return argc == 3 ? mock_list_journal(argv[2], MOCK_RECORDS) : 64;
    if (strcmp(name, "--list-marks") == 0)
        return argc == 3 ? mock_list_journal(argv[2], MOCK_MARKS) : 64;
    if (strcmp(name, "--list-keys") == 0)
        return argc == 3 ? mock_list_journal(argv[2], MOCK_KEYS) : 64;
    if (strcmp(name, "--kill-at") == 0)
        return argc == 5 ? mock_kill_at(argv[2], argv[3], argv[4]) : 64;
    if (strcmp(name, "--grow-journal") == 0)
        return argc == 5 ? mock_grow_journal(argv[2], argv[3], argv[4]) : 64;
    if (strcmp(name, "--faults") == 0) {
        mock_faults_list();
        return 0;
    }
    return -1;
}
