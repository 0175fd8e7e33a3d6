/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* metrics-dump: one sample of daemon/metrics, a point a line as JSON, for the comparison with
 * python3-psutil. With a number N: N samples, and the CPU time that one took, in µs. */
#include <time.h>

#include "daemon/metrics/metrics.h"

static int print_point(void *userdata, const MetricsPoint *p) {
        (void) userdata;
        printf("{\"name\":\"%s\",\"labels\":\"", p->name);
        for (const char *c = p->labels; *c; c++)
                printf(*c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
        printf("\",\"value\":%.17g,\"unit\":\"%s\",\"timeUsec\":%lld}\n", p->value, p->unit,
               (long long) p->time);
        return 0;
}

int main(int argc, char **argv) {
        Metrics *m = NULL;
        int r, n = argc > 1 ? (int) strtol(argv[1], NULL, 10) : 1;
        int64_t start;

        r = metrics_new(&m);
        start = now_usec(CLOCK_PROCESS_CPUTIME_ID);
        for (int i = 0; i < n && r == 0; i++)
                r = metrics_sample(m, now_usec(CLOCK_REALTIME), NULL, 0, "/");
        if (r == 0 && n > 1)
                printf("%.1f\n", (double) (now_usec(CLOCK_PROCESS_CPUTIME_ID) - start) / n);
        else if (r == 0)
                r = metrics_points(m, print_point, NULL);
        metrics_free(m);
        return r != 0;
}
