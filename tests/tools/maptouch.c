/* SPDX-License-Identifier: Apache-2.0 */
/*
 * maptouch FILE [FLAG]: map a file and read every page of it, then print the sum of all bytes. With FLAG: print
 * "mapped", wait until that file exists, and read the mapping once more. SIGBUS is not caught.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t sum(const volatile uint8_t *p, size_t len)
{
	uint64_t s = 0;

	for (size_t n = 0; n < len; n++)
		s += p[n];
	return s;
}

int main(int argc, char **argv)
{
	const volatile uint8_t *p;
	struct stat st;
	int fd;

	if (argc < 2)
		return 2;
	fd = open(argv[1], O_RDONLY);
	if (fd < 0 || fstat(fd, &st)) {
		perror(argv[1]);
		return 1;
	}
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	printf("%llu\n", (unsigned long long)sum(p, (size_t)st.st_size));
	if (argc < 3)
		return 0;
	puts("mapped");
	fflush(stdout);
	while (access(argv[2], F_OK))
		usleep(100000);
	printf("%llu\n", (unsigned long long)sum(p, (size_t)st.st_size));
	return 0;
}
