/* A device as drivers and libraries offer them: it computes while the caller waits, and reads while the caller does not. */
#ifndef LEASEHOLD_CHECK_DEVICE_H
#define LEASEHOLD_CHECK_DEVICE_H

#include <stddef.h>
#include <stdint.h>

/* Synchronous. Uses the bytes until it returns. */
uint32_t device_checksum(const uint8_t *bytes, size_t len);

typedef struct device device;

/* Called when a read is over, from the device's thread: with the number of bytes, or with a negative errno. */
typedef void (*device_done)(void *context, int64_t result);

device *device_open(void);

/* Waits until every read is over; those that wait for data end with -ECANCELED.
 * From a callback it returns at once, and the device ends after the callback. */
void device_close(device *device);

/* Bytes that the device has got, for the next read. At most 4096 wait for one; returns how many were taken. */
size_t device_supply(device *device, const uint8_t *bytes, size_t len);

/* Lets the device act as if the transfer had begun: reads cannot be cancelled any more. */
void device_commit(device *device);

/* Asynchronous: fills `into` when there are bytes. One read at a time.
 *
 *   < 0  It has not begun: -EBUSY, or -EINVAL for no room. `done` is not called.
 *   > 0  It is over already, with so many bytes.           `done` is not called.
 *     0  It has begun. `done` is called once, maybe before this returns. Until then the device writes to `into`.
 */
int64_t device_read(device *device, uint8_t *into, size_t len, device_done done, void *context);

/* Asks for an early end. 0: `done` is called with -ECANCELED. -EALREADY: too late, it takes its course. -ENOENT: it is over. */
int device_cancel(device *device);

#endif
