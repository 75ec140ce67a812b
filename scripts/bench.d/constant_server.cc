// The yardstick of B3: a gRPC C++ server that answers every unary call with the same bytes.
//
//   constant_server ADDR:PORT BYTES THREADS
//
// The fastest kind that the library offers: asynchronous, one completion queue for each thread, and generic, so
// that no message is decoded or encoded. It reads no database, knows no accounts and looks at nothing it is sent.
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

namespace {

// One call at a time: waits for it, reads its message, answers, and waits for the next.
class Call {
  public:
    Call(grpc::AsyncGenericService *service, grpc::ServerCompletionQueue *queue,
         const grpc::ByteBuffer *reply)
        : service_(service), queue_(queue), reply_(reply), stream_(&context_) {
        service_->RequestCall(&context_, &stream_, queue_, queue_, this);
    }

    void Proceed(bool ok) {
        if (!ok && state_ == State::kWaiting) { // the server is ending
            delete this;
            return;
        }
        switch (state_) {
        case State::kWaiting:
            new Call(service_, queue_, reply_);
            state_ = State::kReading;
            stream_.Read(&request_, this);
            break;
        case State::kReading:
            state_ = State::kAnswering;
            stream_.WriteAndFinish(*reply_, grpc::WriteOptions(), grpc::Status::OK, this);
            break;
        case State::kAnswering: delete this; break;
        }
    }

  private:
    enum class State { kWaiting, kReading, kAnswering };
    grpc::AsyncGenericService *service_;
    grpc::ServerCompletionQueue *queue_;
    const grpc::ByteBuffer *reply_;
    grpc::GenericServerContext context_;
    grpc::GenericServerAsyncReaderWriter stream_;
    grpc::ByteBuffer request_;
    State state_ = State::kWaiting;
};

void Serve(grpc::AsyncGenericService *service, grpc::ServerCompletionQueue *queue,
           const grpc::ByteBuffer *reply) {
    for (int i = 0; i < 256; i++) new Call(service, queue, reply);
    void *tag;
    bool ok;
    while (queue->Next(&tag, &ok)) static_cast<Call *>(tag)->Proceed(ok);
}

} // namespace

int main(int argc, char **argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: constant_server ADDR:PORT BYTES THREADS\n");
        return 2;
    }
    grpc::Slice slice(std::string(std::strtoul(argv[2], nullptr, 10), 'x'));
    grpc::ByteBuffer reply(&slice, 1);
    grpc::AsyncGenericService service;
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort(argv[1], grpc::InsecureServerCredentials(), &port);
    builder.RegisterAsyncGenericService(&service);
    std::vector<std::unique_ptr<grpc::ServerCompletionQueue>> queues;
    for (int i = 0; i < std::atoi(argv[3]); i++) queues.push_back(builder.AddCompletionQueue());
    auto server = builder.BuildAndStart();
    if (!server || port == 0) {
        std::fprintf(stderr, "constant_server: cannot listen on %s\n", argv[1]);
        return 1;
    }
    std::vector<std::thread> threads;
    for (auto &queue : queues) threads.emplace_back(Serve, &service, queue.get(), &reply);
    for (auto &thread : threads) thread.join();
}
