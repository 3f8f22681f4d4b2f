#include "device.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 4096 };

struct device {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    uint8_t bytes[ROOM];
    size_t len;
    /* The read that is under way. */
    uint8_t *into;
    size_t into_len;
    device_done done;
    void *context;
    bool reading, cancelled, committed, closing;
    /* It was closed by its own thread, which has to end it. */
    bool orphan;
};

uint32_t device_checksum(const uint8_t *bytes, size_t len) {
    uint32_t low = 1, high = 0;
    for (size_t i = 0; i < len; i++) {
        low = (low + bytes[i]) % 65521;
        high = (high + low) % 65521;
    }
    return high << 16 | low;
}

/* Moves what there is. The lock is held. */
static int64_t transfer(device *device, uint8_t *into, size_t room) {
    size_t len = device->len < room ? device->len : room;
    memcpy(into, device->bytes, len);
    memmove(device->bytes, device->bytes + len, device->len - len);
    device->len -= len;
    return (int64_t)len;
}

static void end(device *device) {
    pthread_cond_destroy(&device->changed);
    pthread_mutex_destroy(&device->lock);
    free(device);
}

static void *run(void *argument) {
    device *device = argument;
    pthread_mutex_lock(&device->lock);
    for (;;) {
        bool due = device->reading && (device->len > 0 || device->cancelled || device->closing);
        if (!due) {
            if (device->closing) break;
            pthread_cond_wait(&device->changed, &device->lock);
            continue;
        }
        int64_t result = -ECANCELED;
        if (device->len > 0 && !device->cancelled) result = transfer(device, device->into, device->into_len);
        device_done done = device->done;
        void *context = device->context;
        device->reading = false;
        /* With nothing in hand: the callback may call the device. */
        pthread_mutex_unlock(&device->lock);
        done(context, result);
        pthread_mutex_lock(&device->lock);
    }
    bool orphan = device->orphan;
    pthread_mutex_unlock(&device->lock);
    if (orphan) end(device);
    return NULL;
}

device *device_open(void) {
    device *device = calloc(1, sizeof *device);
    if (device == NULL) return NULL;
    pthread_mutex_init(&device->lock, NULL);
    pthread_cond_init(&device->changed, NULL);
    if (pthread_create(&device->thread, NULL, run, device) != 0) {
        free(device);
        return NULL;
    }
    return device;
}

void device_close(device *device) {
    pthread_mutex_lock(&device->lock);
    device->closing = true;
    device->orphan = pthread_equal(pthread_self(), device->thread) != 0;
    bool orphan = device->orphan;
    pthread_cond_signal(&device->changed);
    pthread_mutex_unlock(&device->lock);
    if (orphan) {
        pthread_detach(pthread_self());
        return;
    }
    pthread_join(device->thread, NULL);
    end(device);
}

size_t device_supply(device *device, const uint8_t *bytes, size_t len) {
    pthread_mutex_lock(&device->lock);
    size_t taken = len < ROOM - device->len ? len : ROOM - device->len;
    memcpy(device->bytes + device->len, bytes, taken);
    device->len += taken;
    pthread_cond_signal(&device->changed);
    pthread_mutex_unlock(&device->lock);
    return taken;
}

void device_commit(device *device) {
    pthread_mutex_lock(&device->lock);
    device->committed = true;
    pthread_mutex_unlock(&device->lock);
}

int64_t device_read(device *device, uint8_t *into, size_t len, device_done done, void *context) {
    if (len == 0) return -EINVAL;
    pthread_mutex_lock(&device->lock);
    int64_t result = 0;
    if (device->reading) {
        result = -EBUSY;
    } else if (device->len > 0) {
        result = transfer(device, into, len);
    } else {
        device->into = into;
        device->into_len = len;
        device->done = done;
        device->context = context;
        device->reading = true;
        device->cancelled = false;
        pthread_cond_signal(&device->changed);
    }
    pthread_mutex_unlock(&device->lock);
    return result;
}

int device_cancel(device *device) {
    pthread_mutex_lock(&device->lock);
    int result = !device->reading ? -ENOENT : device->committed ? -EALREADY : 0;
    if (result == 0) {
        device->cancelled = true;
        pthread_cond_signal(&device->changed);
    }
    pthread_mutex_unlock(&device->lock);
    return result;
}
