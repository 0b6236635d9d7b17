/* Images and the like. DSPy writes a value of its types for them as text: between two marks, the
 * parts of a message, as JSON, with all bytes. That is for a program in Python, which makes parts
 * of a message of it again. To a model that reads text alone it would be megabytes of nothing. */
#ifndef DM_ADAPTER_MEDIA_H
#define DM_ADAPTER_MEDIA_H

#include "json/value.h"

/* The value with words in place of such parts ("[an image that is not shown]"), with the address
 * where it has one; parts that are text stay. v itself where there are none. */
const dm_value *dm_without_media(dm_arena *a, const dm_value *v);

#endif
