// A libnccl whose GPUs are streams of libcuda.cpp in one process: the part of NCCL's
// interface that the backend calls, for tests. Ranks meet in host memory; the last to
// come adds, in the order of the ranks.
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#define API extern "C" __attribute__((visibility("default"))) int

extern "C" int emulated_put(void *stream, int (*f)(void *), void *with);

namespace {

enum { Success = 0, SystemError = 2, InvalidArgument = 4, InvalidUsage = 5 };

struct Id {
    char b[128];
};

// The ranks of an id.
struct Meeting {
    std::mutex mutex;
    std::condition_variable changed;
    int world = 0, joined = 0, here = 0;
    long round = 0;
    std::vector<float *> data;
    bool aborted = false;
};

struct Comm {
    Meeting *meeting;
    int rank, error;
};

struct Call {
    Comm *comm;
    float *data;
    size_t count;
    bool mean;
};

std::mutex all;
std::map<std::string, Meeting *> meetings;
int ids;
thread_local int depth;

// The sum of one call, when every rank has come to it; nothing where it was aborted.
int add(void *with) {
    Call *call = static_cast<Call *>(with);
    Meeting *m = call->comm->meeting;
    std::unique_lock<std::mutex> lock(m->mutex);
    if (m->aborted) {
        return Success; // who else was here is gone
    }
    long mine = m->round;
    m->data[call->comm->rank] = call->data;
    if (++m->here == m->world) {
        for (size_t i = 0; i < call->count; i++) {
            float sum = 0;
            for (float *d : m->data) {
                sum += d[i];
            }
            for (float *d : m->data) {
                d[i] = call->mean ? sum / float(m->world) : sum;
            }
        }
        m->here = 0;
        m->round++;
        m->changed.notify_all();
    }
    m->changed.wait(lock, [=] { return m->round != mine || m->aborted; });
    return Success;
}

} // namespace

API ncclGetVersion(int *version) {
    *version = 22809;
    return Success;
}
extern "C" __attribute__((visibility("default"))) const char *ncclGetErrorString(int rc) {
    return rc == SystemError ? "unhandled system error" : rc == InvalidArgument ? "invalid argument" : "invalid usage";
}
API ncclGetUniqueId(Id *id) {
    std::lock_guard<std::mutex> guard(all);
    memset(id, 0, sizeof *id);
    memset(id->b, 'a' + ids % 26, 127); // all of it must arrive
    memcpy(id->b, &ids, sizeof ids);
    ids++;
    return Success;
}
API ncclCommInitRank(Comm **c, int world, Id id, int rank) {
    Meeting *m;
    {
        std::lock_guard<std::mutex> guard(all);
        Meeting *&of = meetings[std::string(id.b, sizeof id.b)];
        if (!of) {
            of = new Meeting;
            of->world = world;
            of->data.resize(world);
        }
        m = of;
    }
    if (rank < 0 || rank >= world || m->world != world || id.b[126] == 0) {
        return InvalidArgument;
    }
    std::unique_lock<std::mutex> lock(m->mutex);
    m->joined++;
    m->changed.notify_all();
    m->changed.wait(lock, [=] { return m->joined == m->world; });
    *c = new Comm{m, rank, Success};
    return Success;
}
API ncclGroupStart() {
    depth++;
    return Success;
}
API ncclGroupEnd() {
    depth--;
    return Success;
}
API ncclAllReduce(const void *from, void *to, size_t count, int type, int op, Comm *c, void *stream) {
    if (from != to || type != 7 || (op != 0 && op != 4) || depth != 1) {
        return InvalidUsage;
    }
    return emulated_put(stream, add, new Call{c, static_cast<float *>(to), count, op == 4});
}
API ncclCommGetAsyncError(Comm *c, int *rc) {
    *rc = c->error;
    return Success;
}
API ncclCommAbort(Comm *c) {
    std::lock_guard<std::mutex> guard(c->meeting->mutex);
    c->meeting->aborted = true;
    c->meeting->changed.notify_all();
    return Success;
}
API ncclCommDestroy(Comm *) { return Success; }
extern "C" __attribute__((visibility("default"))) void emulated_fail(Comm *c) { c->error = SystemError; }
