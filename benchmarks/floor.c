// The lower bound of the cost of a delivery over WebSocket: epoll, and one send(2) per client and event.
//
// It relies on its clients: they mask with zeros, each read returns whole messages, and each send accepts
// all bytes. All its answers are constants, and it stores nothing.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS 65536
#define BYTES 65536

static const char UPGRADED[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n";
static const char OPEN[] =
    "0{\"sid\":\"floor\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000,"
    "\"maxPayload\":1000000}";
static const char CONNECTED[] = "40{\"sid\":\"floor\"}";
static const char ACKNOWLEDGED[] = "431[{\"ok\":true}]";
static const char PUBLISH[] = "421[\"furniture_created\",{";
static const char EVENT[] =
    "42[\"furniture_created\",{\"type\":\"furniture_created\",\"id\":\"1\","
    "\"timestamp\":\"2000-01-01T00:00:00.000Z\",%.*s,\"1\"]";

static int clients[CLIENTS], count;

// Frames a text message as a server does. Returns the frame's length.
static size_t frame(unsigned char *to, const char *text, size_t length) {
    size_t head = length < 126 ? 2 : 4;
    to[0] = 0x81;
    to[1] = length < 126 ? length : 126;
    if (head == 4) {
        to[2] = length >> 8;
        to[3] = length & 255;
    }
    memcpy(to + head, text, length);
    return head + length;
}

static void say(int client, const char *text) {
    unsigned char framed[BYTES];
    size_t length = frame(framed, text, strlen(text));
    if (send(client, framed, length, MSG_NOSIGNAL) < 0) perror("send");
}

// Sends the event to all connected clients and acknowledges it to its publisher.
static void publish(int publisher, const char *text, size_t length) {
    static char event[BYTES];
    static unsigned char framed[BYTES + 4];
    int known = sizeof PUBLISH - 1;
    int told = snprintf(event, sizeof event, EVENT, (int)length - known - 1, text + known);
    size_t bytes = frame(framed, event, told);
    for (int i = 0; i < count; i++)
        if (send(clients[i], framed, bytes, MSG_NOSIGNAL) != (ssize_t)bytes) perror("send");
    say(publisher, ACKNOWLEDGED);
}

static void leave(int client) {
    for (int i = 0; i < count; i++)
        if (clients[i] == client) clients[i--] = clients[--count];
    close(client);
}

static void receive(int client) {
    static char data[BYTES + 1];
    ssize_t length = recv(client, data, BYTES, 0);
    if (length <= 0) {
        leave(client);
        return;
    }
    data[length] = 0;
    if (!strncmp(data, "GET ", 4)) {
        if (send(client, UPGRADED, sizeof UPGRADED - 1, MSG_NOSIGNAL) < 0) perror("send");
        say(client, OPEN);
        return;
    }
    int head = (data[1] & 127) < 126 ? 6 : 8;
    char *text = data + head;
    if (!strncmp(text, PUBLISH, sizeof PUBLISH - 1)) {
        publish(client, text, length - head);
    } else if (!strcmp(text, "40") && count < CLIENTS) {
        clients[count++] = client;
        say(client, CONNECTED);
    }
}

int main(void) {
    int listener = socket(AF_INET, SOCK_STREAM, 0), poll = epoll_create1(0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    struct epoll_event events[512], event = {.events = EPOLLIN, .data.fd = listener};
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 4096) ||
        getsockname(listener, (struct sockaddr *)&address, &size) ||
        epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event)) {
        perror("floor");
        return 1;
    }
    fprintf(stderr, "{\"event\":\"listening\",\"port\":%d}\n", ntohs(address.sin_port));
    for (;;) {
        int ready = epoll_wait(poll, events, 512, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd != listener) {
                receive(events[i].data.fd);
                continue;
            }
            int client = accept(listener, 0, 0);
            if (client < 0) {
                perror("accept");
                return 1;
            }
            setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            event.data.fd = client;
            epoll_ctl(poll, EPOLL_CTL_ADD, client, &event);
        }
    }
}
