/* The way to models that DSPy itself asks (lm/python.c): a transport that gives their requests to
 * the hosts' processes, and all others to another transport. So concurrency, limits, budget, tries,
 * keys and journal are those of any model. */
#ifndef DM_HOST_WAY_H
#define DM_HOST_WAY_H

#include "host/host.h"
#include "lm/transport.h"

/* inner is taken; h has to live longer, and to be polled. A request goes to the process of the run
 * that asks (dm_lm_request.asker), which may have made the model itself, or to any. */
dm_transport *dm_host_way(dm_hosts *h, dm_transport *inner);

#endif
