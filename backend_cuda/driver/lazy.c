/* A libcuda to link against: every function of functions.def as a jump through a
 * table. A program that is linked with it starts without a driver, and gets one when
 * lazycuda_bind is called with the library that it has opened. Before that functions
 * answer CUDA_ERROR_NOT_INITIALIZED; those that the driver lacks, CUDA_ERROR_NOT_FOUND.
 *
 * cuInit is not in the table: gorgonia.org/cu calls it when it is imported, and ends
 * the process if it fails. Here it does nothing and succeeds; who opens the driver
 * calls the driver's. */
#include <dlfcn.h>
#include <stddef.h>

static int not_initialized(void) { return 3; }
static int not_found(void) { return 500; }

static const char *const names[] = {
#define CU(name, symbol, parameters) #symbol,
#include "functions.def"
#undef CU
};

__attribute__((visibility("hidden"))) void *lazycuda_table[] = {
#define CU(name, symbol, parameters) (void *)not_initialized,
#include "functions.def"
#undef CU
};

#define TEXT2(x) #x
#define TEXT(x) TEXT2(x)
#if defined(__x86_64__)
#define JUMP(i) "jmp *lazycuda_table+8*" TEXT(i) "(%rip)\n"
#elif defined(__aarch64__)
#define JUMP(i)                                                                                    \
    "adrp x16, lazycuda_table+8*" TEXT(i) "\n"                                                     \
    "ldr x16, [x16, :lo12:lazycuda_table+8*" TEXT(i) "]\n"                                         \
    "br x16\n"
#else
#error "lazycuda: no jump is written for this processor: build without the tag cuda"
#endif
#define DEFINE(symbol, i)                                                                          \
    __asm__(".text\n.globl " #symbol "\n.type " #symbol ",@function\n" #symbol ":\n" JUMP(i)       \
            ".size " #symbol ",.-" #symbol "\n");
#define NEXT(symbol, i) DEFINE(symbol, i)
#define CU(name, symbol, parameters) NEXT(symbol, __COUNTER__)
#include "functions.def"
#undef CU

int cuInit(unsigned flags) {
    (void)flags;
    return 0;
}

/* lazycuda_bind sends every function to the library that handle opened. */
void lazycuda_bind(void *handle) {
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        void *f = dlsym(handle, names[i]);
        lazycuda_table[i] = f ? f : (void *)not_found;
    }
}
