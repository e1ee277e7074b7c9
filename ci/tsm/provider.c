// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sealstone's test provider for configfs-tsm.
 *
 * Stands where sev-guest or tdx-guest stand on confidential hardware, below the kernel's own drivers/virt/coco/tsm.c, and has the
 * test make each report: it puts what is asked for into memory that it shares with the test (QEMU's ivshmem-plain) and waits for an
 * answer there, as the real drivers wait for the host. It is also, when the test says so, a second writer of the front's report entry.
 *
 * For tests alone: whoever has the other end of that memory makes the reports. It isn't part of any image.
 *
 * Sources: include/linux/tsm.h; which files an entry has and which errors there are: drivers/virt/coco/sev-guest/sev-guest.c and
 * drivers/virt/coco/tdx-guest/tdx-guest.c, Linux 6.12; ivshmem: QEMU, docs/specs/ivshmem-spec.rst.
 */

#define pr_fmt(fmt) "sealstone-test-provider: " fmt

#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/io.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/tsm.h>

#define IVSHMEM_VENDOR	0x1af4
#define IVSHMEM_DEVICE	0x1110
#define IVSHMEM_MEMORY	2

/* The shared memory. ci/tsm/provider.py has the same numbers. All are little-endian and have 32 bits. */
enum {
	/* Written by the test. */
	KIND		= 0x000,	/* before the machine starts: 1 sev_guest, 2 tdx_guest, else nothing registers */
	FLOOR		= 0x004,	/* the lowest privilege level that may be asked for */
	ANSWERED	= 0x008,	/* number of the request that the following answers; written last */
	RESULT		= 0x00c,	/* 0 or a negative errno */
	REPORT_LENGTH	= 0x010,
	AUX_LENGTH	= 0x014,	/* NOTHING: there is none */
	RIVAL_WANTED	= 0x018,	/* how often the second writer shall have written in all */
	RIVAL_PAUSE	= 0x01c,	/* microseconds between two of its writes */
	/* Written here. */
	READY		= 0x100,	/* 1: registered; else a negative errno */
	ASKED		= 0x104,	/* number of the latest request; written last */
	INBLOB_LENGTH	= 0x108,
	PRIVLEVEL	= 0x10c,
	INBLOB		= 0x110,	/* 64 bytes */
	RIVAL_DONE	= 0x150,
	RIVAL_ERROR	= 0x154,	/* of its latest failure, 0 if there was none */
	/* Written by the test. */
	REPORT		= 0x01000,
	AUX		= 0x40000,
	SIZE		= 0x80000,
};

#define BLOB_MAX	(AUX - REPORT)
#define NOTHING		U32_MAX
/* Longer than the daemon waits, and than TDX's driver does. */
#define PATIENCE	(90 * HZ)

static u8 __iomem *shared;

static u8 *blob(u32 at, u32 length)
{
	u8 *bytes;

	if (length > BLOB_MAX)
		return ERR_PTR(-EFBIG);
	bytes = kvzalloc(max(length, 1U), GFP_KERNEL);
	if (!bytes)
		return ERR_PTR(-ENOMEM);
	memcpy_fromio(bytes, shared + at, length);
	return bytes;
}

/* Called with tsm.c's lock held for writing, so for one request at a time. */
static int test_report_new(struct tsm_report *report, void *data)
{
	struct tsm_desc *desc = &report->desc;
	unsigned long end = jiffies + PATIENCE;
	u32 number = readl(shared + ASKED) + 1;
	u32 length;
	u8 *bytes;
	int rc;

	if (desc->inblob_len != TSM_INBLOB_MAX)
		return -EINVAL;
	writel(desc->inblob_len, shared + INBLOB_LENGTH);
	writel(desc->privlevel, shared + PRIVLEVEL);
	memcpy_toio(shared + INBLOB, desc->inblob, TSM_INBLOB_MAX);
	wmb();
	writel(number, shared + ASKED);

	while (readl(shared + ANSWERED) != number) {
		if (signal_pending(current))
			return -EINTR;
		if (time_after(jiffies, end))
			return -ETIMEDOUT;
		usleep_range(200, 500);
	}
	rmb();
	rc = (int)readl(shared + RESULT);
	if (rc)
		return rc < 0 ? rc : -EIO;

	length = readl(shared + REPORT_LENGTH);
	bytes = blob(REPORT, length);
	if (IS_ERR(bytes))
		return PTR_ERR(bytes);
	report->outblob = bytes;
	report->outblob_len = length;

	length = readl(shared + AUX_LENGTH);
	if (length == NOTHING)
		return 0;
	bytes = blob(AUX, length);
	if (IS_ERR(bytes))
		return PTR_ERR(bytes);
	report->auxblob = bytes;
	report->auxblob_len = length;
	return 0;
}

/* What a guest at VMPL 0, without an SVSM, shows. */
static bool sev_attr_visible(int n)
{
	return n == TSM_REPORT_GENERATION || n == TSM_REPORT_PROVIDER || n == TSM_REPORT_PRIVLEVEL ||
	       n == TSM_REPORT_PRIVLEVEL_FLOOR;
}

static bool sev_bin_attr_visible(int n)
{
	return n == TSM_REPORT_INBLOB || n == TSM_REPORT_OUTBLOB || n == TSM_REPORT_AUXBLOB;
}

static bool tdx_attr_visible(int n)
{
	return n == TSM_REPORT_GENERATION || n == TSM_REPORT_PROVIDER;
}

static bool tdx_bin_attr_visible(int n)
{
	return n == TSM_REPORT_INBLOB || n == TSM_REPORT_OUTBLOB;
}

static struct tsm_ops sev_ops = {
	.name = "sev_guest",
	.report_new = test_report_new,
	.report_attr_visible = sev_attr_visible,
	.report_bin_attr_visible = sev_bin_attr_visible,
};

static struct tsm_ops tdx_ops = {
	.name = "tdx_guest",
	.report_new = test_report_new,
	.report_attr_visible = tdx_attr_visible,
	.report_bin_attr_visible = tdx_bin_attr_visible,
};

/* As another process would: through the file, which hands the challenge over when it is closed. */
static int rival_write(u32 number)
{
	u8 bytes[TSM_INBLOB_MAX];
	struct file *file;
	ssize_t written;
	loff_t at = 0;

	memset(bytes, 0xee, sizeof(bytes));
	memcpy(bytes, &number, sizeof(number));
	file = filp_open("/sys/kernel/config/tsm/report/front/inblob", O_WRONLY, 0);
	if (IS_ERR(file))
		return PTR_ERR(file);
	written = kernel_write(file, bytes, sizeof(bytes), &at);
	/* Closed here and now; fput() of a kernel thread would leave that for later. */
	__fput_sync(file);
	if (written < 0)
		return written;
	return written == sizeof(bytes) ? 0 : -EIO;
}

static int rival(void *data)
{
	u32 done = 0;

	while (!kthread_should_stop()) {
		u32 pause = readl(shared + RIVAL_PAUSE);
		int rc;

		/* Stops at once when the test takes back what it wanted. */
		if ((s32)(readl(shared + RIVAL_WANTED) - done) <= 0) {
			usleep_range(200, 500);
			continue;
		}
		done++;
		rc = rival_write(done);
		if (rc)
			writel(rc, shared + RIVAL_ERROR);
		writel(done, shared + RIVAL_DONE);
		if (pause)
			usleep_range(pause, pause + 100);
	}
	return 0;
}

static int __init start(struct tsm_ops *ops)
{
	struct task_struct *writer;
	int rc;

	ops->privlevel_floor = readl(shared + FLOOR);
	rc = tsm_register(ops, NULL);
	if (rc)
		return rc;
	writer = kthread_run(rival, NULL, "tsm-rival");
	if (IS_ERR(writer)) {
		tsm_unregister(ops);
		return PTR_ERR(writer);
	}
	return 0;
}

static int __init test_provider_init(void)
{
	struct pci_dev *device = pci_get_device(IVSHMEM_VENDOR, IVSHMEM_DEVICE, NULL);
	u32 kind;
	int rc;

	if (!device)
		return 0;
	rc = pci_enable_device(device);
	if (rc)
		return rc;
	if (pci_resource_len(device, IVSHMEM_MEMORY) < SIZE)
		return -ENODEV;
	shared = pci_iomap(device, IVSHMEM_MEMORY, 0);
	if (!shared)
		return -ENOMEM;
	kind = readl(shared + KIND);
	if (kind != 1 && kind != 2)
		return 0;
	rc = start(kind == 1 ? &sev_ops : &tdx_ops);
	writel(rc ? rc : 1, shared + READY);
	pr_info("registered: %d\n", rc);
	return rc;
}
/* After tsm.c and the PCI bus. */
late_initcall(test_provider_init);
