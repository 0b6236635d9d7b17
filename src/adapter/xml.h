/* An XML document in memory, as far as answers need one. */
#ifndef DM_ADAPTER_XML_H
#define DM_ADAPTER_XML_H

#include "json/value.h"

typedef struct dm_element dm_element;
struct dm_element {
    dm_str tag;
    dm_value *attributes; /* dict of texts */
    dm_str text, tail;    /* before its first child; behind its end. .n 0: none */
    dm_element *first, *last, *next, *parent;
};

/* Reads s, the content of one element, as expat does: root's children are the elements in it, root
 * itself has no tag. Comments and instructions leave nothing behind; names with a namespace stay as
 * they are written. NULL, or what is wrong, and how many bytes stand before it. Everything lives in
 * a. */
const char *dm_xml_read(dm_arena *a, dm_str s, dm_element *root, size_t *where);
/* The element with what follows it, as ElementTree writes it. */
void dm_xml_write(dm_buf *b, const dm_element *e);

#endif
