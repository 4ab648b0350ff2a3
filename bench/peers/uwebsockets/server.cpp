// uWebSockets: subscribers on ws://…/sub/{channel}, a publish is POST /pub/{channel}. Topics and their draining in one
// write per turn of the loop are the library's own.

#include "App.h"

#include <cstdlib>
#include <iostream>
#include <string>

struct Reader {
    std::string channel;
};

static void upgrade(uWS::HttpResponse<false> *response, uWS::HttpRequest *request, us_socket_context_t *context) {
    response->upgrade<Reader>(
        {std::string(request->getUrl().substr(5))},
        request->getHeader("sec-websocket-key"),
        request->getHeader("sec-websocket-protocol"),
        request->getHeader("sec-websocket-extensions"),
        context);
}

int main(int count, char **arguments) {
    if (count != 2) {
        std::cerr << "usage: server PORT" << std::endl;
        return 2;
    }
    int port = std::atoi(arguments[1]);

    uWS::App app;
    app.ws<Reader>("/sub/*", {
        .compression = uWS::DISABLED,
        // A reader with more than this unsent loses messages. Raised, so that a burst slows the run and drops nothing.
        .idleTimeout = 0,
        .maxBackpressure = 64 * 1024 * 1024,
        .sendPingsAutomatically = false,
        .upgrade = upgrade,
        .open = [](auto *socket) { socket->subscribe(socket->getUserData()->channel); },
    });
    app.post("/pub/*", [&app](auto *response, auto *request) {
        response->onAborted([] {});
        response->onData([&app, response, channel = std::string(request->getUrl().substr(5)), body = std::string()](
                             std::string_view part, bool last) mutable {
            body.append(part);
            if (last) {
                app.publish(channel, body, uWS::OpCode::TEXT, false);
                response->writeStatus("204 No Content")->endWithoutBody();
            }
        });
    });
    app.listen("127.0.0.1", port, [](auto *socket) {
        if (!socket) {
            std::cerr << "cannot listen" << std::endl;
            std::exit(1);
        }
    });
    app.run();
}
