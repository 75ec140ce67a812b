/* An intrusive, doubly linked, circular list. A struct carries a struct list_node for each list it can be on. */
#ifndef ROOKERY_CORE_BASE_LIST_H
#define ROOKERY_CORE_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list_node {
    struct list_node *prev, *next; /* to itself when on no list */
};

#define list_entry(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))
#define list_each(head, it) for (struct list_node *it = (head)->next; it != (head); it = it->next)
/* The body may remove `it`. */
#define list_each_safe(head, it)                                                                             \
    for (struct list_node *it = (head)->next, *it##_next = it->next; it != (head);                           \
         it = it##_next, it##_next = it->next)

static inline void list_init(struct list_node *n) {
    n->prev = n->next = n;
}

static inline bool list_empty(const struct list_node *head) {
    return head->next == head;
}

/* Whether n is on a list. For nodes that list_init has prepared. */
static inline bool list_linked(const struct list_node *n) {
    return n->next != n;
}

static inline void list_insert_before(struct list_node *pos, struct list_node *n) {
    n->prev = pos->prev;
    n->next = pos;
    pos->prev->next = n;
    pos->prev = n;
}

static inline void list_push_back(struct list_node *head, struct list_node *n) {
    list_insert_before(head, n);
}

static inline void list_push_front(struct list_node *head, struct list_node *n) {
    list_insert_before(head->next, n);
}

/* Unlinks n; harmless when it is on no list. */
static inline void list_remove(struct list_node *n) {
    n->prev->next = n->next;
    n->next->prev = n->prev;
    list_init(n);
}

/* Unlinks and returns the first node; NULL when the list is empty. */
static inline struct list_node *list_pop_front(struct list_node *head) {
    if (list_empty(head)) return NULL;
    struct list_node *n = head->next;
    list_remove(n);
    return n;
}

#endif
