/* The fuzz targets. Each takes any bytes, checks what its parser promises, and aborts where it does
 * not hold. `make fuzz` feeds them from libFuzzer (main.c); the unit tests replay the corpus: seeds
 * and every input that once made one fail (tests/unit/test_corpus.c). */
#ifndef DM_TESTS_FUZZ_H
#define DM_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#define FUZZ_TARGETS(X)                                                                            \
    X(job)                                                                                         \
    X(data)                                                                                        \
    X(json)                                                                                        \
    X(state)                                                                                       \
    X(signature)                                                                                   \
    X(completion)                                                                                  \
    X(repair)                                                                                      \
    X(literal)                                                                                     \
    X(journal)                                                                                     \
    X(coordinator)                                                                                 \
    X(wire)                                                                                        \
    X(worker)                                                                                      \
    X(http)                                                                                        \
    X(metric)

typedef int fuzz_target(const uint8_t *data, size_t size);
#define FUZZ_DECLARE(name) fuzz_target fuzz_##name;
FUZZ_TARGETS(FUZZ_DECLARE)

#endif
