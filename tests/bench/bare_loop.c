/* The yardstick: the same request N times over a bare curl-multi loop, K in flight.
 *   bare-loop URL BODY-FILE N K      prints calls, seconds, CPU seconds, and CPU microseconds a
 * call */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

static size_t drop(char *p, size_t size, size_t n, void *user)
{
    (void)p;
    (void)size;
    *(size_t *)user += n;
    return n;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    static char body[1 << 20];
    if (argc != 5)
        return 64;
    FILE *f = fopen(argv[2], "r");
    if (!f)
        return 65;
    size_t length = fread(body, 1, sizeof body, f), bytes = 0;
    fclose(f);
    long n = strtol(argv[3], NULL, 10), started = 0, done = 0, k = strtol(argv[4], NULL, 10);
    CURLM *multi = curl_multi_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    double from = now();
    while (done < n) {
        int running, left;
        while (started < n && started - done < k) {
            CURL *e = curl_easy_init();
            curl_easy_setopt(e, CURLOPT_URL, argv[1]);
            curl_easy_setopt(e, CURLOPT_PROXY, "");
            curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers);
            curl_easy_setopt(e, CURLOPT_POSTFIELDS, body);
            curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE, (long)length);
            curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, drop);
            curl_easy_setopt(e, CURLOPT_WRITEDATA, &bytes);
            curl_multi_add_handle(multi, e);
            started++;
        }
        curl_multi_perform(multi, &running);
        CURLMsg *m;
        while ((m = curl_multi_info_read(multi, &left))) {
            CURL *e = m->easy_handle;
            if (m->data.result != CURLE_OK)
                return 69;
            curl_multi_remove_handle(multi, e);
            curl_easy_cleanup(e);
            done++;
        }
        if (done < n && (started - done >= k || started == n))
            curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
    double seconds = now() - from;
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    double cpu = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
    printf("{\"calls\": %ld, \"seconds\": %.3f, \"cpu\": %.3f, \"us_per_call\": %.1f, "
           "\"calls_per_second\": %.0f}\n",
           done, seconds, cpu, 1e6 * cpu / (double)n, (double)n / seconds);
    curl_slist_free_all(headers);
    curl_multi_cleanup(multi);
    return 0;
}
