// otlpsink [PORT [ADDRESS]]: takes what is posted over HTTP/1.1 (OTLP, http/protobuf) and throws it away; prints the port, and at SIGTERM how much came.
// Usage: otlpsink 0 127.0.0.1 & OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:PORT netdump-collector serve
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static atomic_long requests, bytes;

static void tell(int signal_number)
{
    (void)signal_number;
    printf("{\"requests\":%ld,\"bytes\":%ld}\n", (long)requests, (long)bytes);
    fflush(stdout);
    _exit(0);
}

// Reads one line without its end; -1 at the end of the connection.
static int read_line(FILE *from, char *line, int size)
{
    if (!fgets(line, size, from))
        return -1;
    line[strcspn(line, "\r\n")] = 0;
    return 0;
}

static int skip(FILE *from, long count)
{
    char part[16384];
    while (count > 0) {
        size_t got = fread(part, 1, count < (long)sizeof part ? (size_t)count : sizeof part, from);
        if (got == 0)
            return -1;
        count -= (long)got;
        bytes += (long)got;
    }
    return 0;
}

static int skip_chunks(FILE *from)
{
    char line[128];
    for (;;) {
        if (read_line(from, line, sizeof line))
            return -1;
        long size = strtol(line, NULL, 16);
        if (skip(from, size) || read_line(from, line, sizeof line))
            return -1;
        if (size == 0)
            return 0;
    }
}

static void *serve(void *argument)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
    int connection = (int)(long)argument;
    FILE *from = fdopen(connection, "r");
    char line[8192];
    while (read_line(from, line, sizeof line) == 0) {
        long length = 0;
        int chunked = 0;
        while (read_line(from, line, sizeof line) == 0 && line[0]) {
            if (strncasecmp(line, "Content-Length:", 15) == 0)
                length = strtol(line + 15, NULL, 10);
            else if (strcasecmp(line, "Transfer-Encoding: chunked") == 0)
                chunked = 1;
            else if (strcasecmp(line, "Expect: 100-continue") == 0)
                dprintf(connection, "HTTP/1.1 100 Continue\r\n\r\n");
        }
        if (chunked ? skip_chunks(from) : skip(from, length))
            break;
        requests++;
        if (write(connection, answer, sizeof answer - 1) < 0)
            break;
    }
    fclose(from);
    return NULL;
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)(argc > 1 ? atoi(argv[1]) : 0))};
    inet_aton(argc > 2 ? argv[2] : "127.0.0.1", &at.sin_addr);
    signal(SIGTERM, tell);
    signal(SIGINT, tell);
    signal(SIGPIPE, SIG_IGN);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 64)) {
        perror("otlpsink");
        return 1;
    }
    socklen_t size = sizeof at;
    getsockname(listener, (struct sockaddr *)&at, &size);
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);
    for (;;) {
        int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        pthread_t thread;
        if (connection >= 0 && pthread_create(&thread, NULL, serve, (void *)(long)connection) == 0)
            pthread_detach(thread);
    }
}
