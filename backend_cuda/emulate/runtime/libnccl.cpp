// A libnccl whose GPUs are streams of libcuda.cpp in one process: the part of NCCL's
// interface that the backend calls, for tests. Ranks meet in host memory; the last to
// come adds, in the order of the ranks. As NCCL from 2.22 on, of communicators that do not
// block, it connects when all ranks have come to the first collective, in a thread of its own;
// abort and destroy wait for the graphs that have a collective of the communicator, and an
// abort ends what that one waits for, nothing of other ranks.
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#define API extern "C" __attribute__((visibility("default"))) int

extern "C" int emulated_put(void *stream, int (*f)(void *), void *with, void (*done)(void *));

namespace {

enum { Success = 0, SystemError = 2, InvalidArgument = 4, InvalidUsage = 5, InProgress = 7 };

struct Id {
    char b[128];
};

// The beginning of ncclConfig_t.
struct Config {
    size_t size;
    unsigned magic, version;
    int blocking;
};

// The ranks of an id.
struct Meeting {
    std::mutex mutex;
    std::condition_variable changed;
    int world = 0, joined = 0, connected = 0, here = 0;
    long round = 0;
    std::vector<float *> data;
};

struct Comm {
    Meeting *meeting;
    int rank, error = Success;
    bool connected = false, busy = false, aborted = false; // busy: its thread puts calls into streams
    int calls = 0; // that streams and graphs have
};

struct Call {
    Comm *comm;
    float *data;
    size_t count;
    bool mean;
    void *stream;
};

std::mutex all;
std::map<std::string, Meeting *> meetings;
int ids;
thread_local int depth;
thread_local std::vector<Call *> group; // what its end starts

// The sum of one call, when every rank has come to it; nothing where it was aborted.
int add(void *with) {
    Call *call = static_cast<Call *>(with);
    Comm *c = call->comm;
    Meeting *m = c->meeting;
    std::unique_lock<std::mutex> lock(m->mutex);
    if (c->aborted) {
        return Success;
    }
    long mine = m->round;
    m->data[c->rank] = call->data;
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
    m->changed.wait(lock, [=] { return m->round != mine || c->aborted; });
    if (m->round == mine) {
        m->here--; // who else comes waits for its own abort
    }
    return Success;
}

void done(void *with) {
    Call *call = static_cast<Call *>(with);
    Comm *c = call->comm;
    std::lock_guard<std::mutex> guard(c->meeting->mutex);
    c->calls--;
    c->meeting->changed.notify_all();
    delete call;
}

int put(const std::vector<Call *> &calls) {
    int rc = Success;
    for (Call *call : calls) {
        int one = emulated_put(call->stream, add, call, done);
        rc = rc ? rc : one;
    }
    return rc;
}

// Waits until all ranks have come to their first collective, and starts it.
void connect(Comm *c, std::vector<Call *> calls) {
    Meeting *m = c->meeting;
    std::unique_lock<std::mutex> lock(m->mutex);
    m->connected++;
    m->changed.notify_all();
    m->changed.wait(lock, [=] { return m->connected == m->world || c->aborted; });
    bool whole = m->connected == m->world && !c->aborted;
    lock.unlock();
    int rc = Success;
    if (whole) {
        rc = put(calls);
    } else {
        for (Call *call : calls) {
            done(call);
        }
    }
    lock.lock();
    c->error = rc;
    c->connected = whole;
    c->busy = false;
    m->changed.notify_all();
}

// Ends c when nothing has it any more.
int end(Comm *c, bool abort) {
    Meeting *m = c->meeting;
    std::unique_lock<std::mutex> lock(m->mutex);
    c->aborted = c->aborted || abort;
    m->changed.notify_all();
    m->changed.wait(lock, [=] { return !c->busy && c->calls == 0; });
    return Success; // c stays: who uses it after its end is not to read what is not there
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
API ncclCommInitRankConfig(Comm **c, int world, Id id, int rank, Config *config) {
    if (config->size < sizeof *config || config->magic != 0xcafebeef || config->version < 21400 || config->blocking != 0) {
        return InvalidArgument; // the backend has no use for calls that wait
    }
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
    std::lock_guard<std::mutex> guard(m->mutex);
    m->joined++;
    *c = new Comm{m, rank};
    return InProgress;
}
API ncclGroupStart() {
    depth++;
    return Success;
}
API ncclGroupEnd() {
    if (--depth > 0 || group.empty()) {
        return Success;
    }
    std::vector<Call *> calls;
    calls.swap(group);
    Comm *c = calls.front()->comm;
    {
        std::lock_guard<std::mutex> guard(c->meeting->mutex);
        c->calls += int(calls.size());
        c->busy = !c->connected;
    }
    if (c->connected) {
        return put(calls);
    }
    std::thread(connect, c, calls).detach();
    return InProgress;
}
API ncclAllReduce(const void *from, void *to, size_t count, int type, int op, Comm *c, void *stream) {
    std::lock_guard<std::mutex> guard(c->meeting->mutex);
    if (from != to || type != 7 || (op != 0 && op != 4) || depth != 1 || c->busy || c->aborted || c->meeting->joined < c->meeting->world) {
        return InvalidUsage;
    }
    group.push_back(new Call{c, static_cast<float *>(to), count, op == 4, stream});
    return Success;
}
API ncclCommGetAsyncError(Comm *c, int *rc) {
    std::lock_guard<std::mutex> guard(c->meeting->mutex);
    *rc = c->busy || c->meeting->joined < c->meeting->world ? InProgress : c->error;
    return Success;
}
API ncclCommAbort(Comm *c) { return end(c, true); }
API ncclCommDestroy(Comm *c) { return end(c, false); }
extern "C" __attribute__((visibility("default"))) void emulated_fail(Comm *c) { c->error = SystemError; }
