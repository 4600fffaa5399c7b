/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mkinitramfs: writes a cpio archive (newc, uncompressed) that the guest kernel unpacks as its first root.
 *
 * Its input is a manifest, one entry per line, and NAME=PATH arguments that tell where the named host files are:
 *
 *	dir PATH MODE				an empty directory
 *	file PATH MODE NAME			the content of the host file given as NAME=PATH
 *	link PATH TARGET			a symbolic link
 *	char PATH MODE MAJOR MINOR		a character device node
 *
 * The same manifest and files give the same bytes: owner, time, inode numbers and order do not depend on the host,
 * and device nodes are only archive entries, so no privilege is needed. The archive appears under its name when it is
 * complete.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_ENTRIES 1024
#define MAX_WORDS 6

struct image {
	struct archive *archive;
	char *paths[MAX_ENTRIES]; /* what the archive has already, to find duplicates and missing parents */
	mode_t types[MAX_ENTRIES];
	size_t count;
	const char *manifest; /* for messages */
	unsigned int line;
	char **sources; /* NAME=PATH arguments, NULL-terminated */
};

static const char *unfinished; /* the temporary file to remove when we give up */

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
	va_list args;

	fputs("mkinitramfs: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	if (unfinished)
		unlink(unfinished);
	exit(1);
}

__attribute__((noreturn)) static void die_line(const struct image *image, const char *what, const char *which)
{
	die("%s:%u: %s: %s", image->manifest, image->line, what, which);
}

static unsigned int number_parse(const struct image *image, const char *text, int base, unsigned long max)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, base);
	if (errno || end == text || *end || value > max)
		die_line(image, "not a number in range", text);
	return (unsigned int)value;
}

static mode_t path_type(const struct image *image, const char *path)
{
	for (size_t i = 0; i < image->count; i++)
		if (!strcmp(image->paths[i], path))
			return image->types[i];
	return 0;
}

/* A path is absolute and plain, new, and its parent is a directory that came before: the kernel makes no parents. */
static void path_check(const struct image *image, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *parent;

	if (path[0] != '/' || !path[1] || strstr(path, "//") || strstr(path, "/.") || slash[1] == '\0')
		die_line(image, "not a plain absolute path", path);
	if (path_type(image, path))
		die_line(image, "named twice", path);
	if (slash == path)
		return;
	parent = strndup(path, (size_t)(slash - path));
	if (!parent)
		die("out of memory");
	if (path_type(image, parent) != AE_IFDIR)
		die_line(image, "its parent is not a directory named before", path);
	free(parent);
}

static struct archive_entry *entry_new(struct image *image, const char *path, mode_t type, unsigned int perm)
{
	struct archive_entry *entry;

	path_check(image, path);
	if (image->count == MAX_ENTRIES)
		die_line(image, "too many entries", path);
	image->paths[image->count] = strdup(path);
	entry = archive_entry_new();
	if (!image->paths[image->count] || !entry)
		die("out of memory");
	image->types[image->count++] = type;

	archive_entry_set_pathname(entry, path + 1);
	archive_entry_set_filetype(entry, type);
	archive_entry_set_perm(entry, perm);
	archive_entry_set_ino64(entry, (int64_t)image->count);
	archive_entry_set_nlink(entry, type == AE_IFDIR ? 2 : 1);
	archive_entry_set_mtime(entry, 0, 0);
	archive_entry_set_uid(entry, 0);
	archive_entry_set_gid(entry, 0);
	archive_entry_set_size(entry, 0);
	return entry;
}

static void entry_write(struct image *image, struct archive_entry *entry)
{
	if (archive_write_header(image->archive, entry) != ARCHIVE_OK)
		die("cannot write the archive: %s", archive_error_string(image->archive));
}

static const char *source_find(const struct image *image, const char *name)
{
	size_t length = strlen(name);

	for (char **source = image->sources; *source; source++)
		if (!strncmp(*source, name, length) && (*source)[length] == '=')
			return *source + length + 1;
	die_line(image, "no argument gives the file", name);
}

/* Copies exactly the size that fstat told: a file that changes meanwhile is an error, not a broken archive. */
static void file_write(struct image *image, char **word)
{
	const char *source = source_find(image, word[3]);
	unsigned int perm = number_parse(image, word[2], 8, 07777);
	struct archive_entry *entry;
	static char buffer[1 << 16];
	int fd = open(source, O_RDONLY | O_CLOEXEC);
	struct stat st;
	off_t left;

	if (fd < 0 || fstat(fd, &st) < 0)
		die("cannot open %s: %s", source, strerror(errno));
	if (!S_ISREG(st.st_mode))
		die("%s is not a regular file", source);
	entry = entry_new(image, word[1], AE_IFREG, perm);
	archive_entry_set_size(entry, st.st_size);
	entry_write(image, entry);
	archive_entry_free(entry);
	for (left = st.st_size; left > 0;) {
		size_t want = left < (off_t)sizeof(buffer) ? (size_t)left : sizeof(buffer);
		ssize_t got = read(fd, buffer, want);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			die("cannot read %s: %s", source, strerror(errno));
		if (got == 0)
			die("%s became shorter while it was read", source);
		if (archive_write_data(image->archive, buffer, (size_t)got) != got)
			die("cannot write the archive: %s", archive_error_string(image->archive));
		left -= got;
	}
	close(fd);
}

static void other_write(struct image *image, char **word, mode_t type)
{
	unsigned int perm = type == AE_IFLNK ? 0777 : number_parse(image, word[2], 8, 07777);
	struct archive_entry *entry = entry_new(image, word[1], type, perm);

	if (type == AE_IFLNK) {
		archive_entry_set_symlink(entry, word[2]);
		archive_entry_set_size(entry, (int64_t)strlen(word[2]));
	} else if (type == AE_IFCHR) {
		archive_entry_set_rdevmajor(entry, number_parse(image, word[3], 10, 0xfff));
		archive_entry_set_rdevminor(entry, number_parse(image, word[4], 10, 0xfffff));
	}
	entry_write(image, entry);
	archive_entry_free(entry);
}

static void line_write(struct image *image, char *text)
{
	char *word[MAX_WORDS + 1] = { 0 }, *save = NULL;
	size_t words = 0;

	if (text[0] == '#')
		return;
	for (char *w = strtok_r(text, " \t\n", &save); w; w = strtok_r(NULL, " \t\n", &save)) {
		if (words == MAX_WORDS)
			die_line(image, "too many words from", w);
		word[words++] = w;
	}
	if (!words)
		return;
	if (!strcmp(word[0], "dir") && words == 3)
		other_write(image, word, AE_IFDIR);
	else if (!strcmp(word[0], "file") && words == 4)
		file_write(image, word);
	else if (!strcmp(word[0], "link") && words == 3)
		other_write(image, word, AE_IFLNK);
	else if (!strcmp(word[0], "char") && words == 5)
		other_write(image, word, AE_IFCHR);
	else
		die_line(image, "unknown entry, or wrong number of words", word[0]);
}

static void manifest_write(struct image *image)
{
	FILE *file = fopen(image->manifest, "re");
	char *text = NULL;
	size_t room = 0;
	ssize_t length;

	if (!file)
		die("cannot open %s: %s", image->manifest, strerror(errno));
	while ((length = getline(&text, &room, file)) > 0) {
		image->line++;
		line_write(image, text);
	}
	if (ferror(file))
		die("cannot read %s: %s", image->manifest, strerror(errno));
	free(text);
	fclose(file);
	if (!image->count)
		die("%s names no entry", image->manifest);
}

int main(int argc, char **argv)
{
	struct image image = { 0 };
	char *part;
	int fd;

	if (argc < 3 || argv[1][0] == '-') {
		fputs("Usage: mkinitramfs OUT MANIFEST [NAME=PATH]...\n", stderr);
		return 2;
	}
	image.manifest = argv[2];
	image.sources = argv + 3;
	if (asprintf(&part, "%s.part.%d", argv[1], (int)getpid()) < 0)
		die("out of memory");
	fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		die("cannot create %s: %s", part, strerror(errno));
	unfinished = part;

	image.archive = archive_write_new();
	if (!image.archive)
		die("out of memory");
	/* No padding behind the trailer: the kernel takes any length. */
	if (archive_write_set_format_cpio_newc(image.archive) != ARCHIVE_OK ||
	    archive_write_add_filter_none(image.archive) != ARCHIVE_OK ||
	    archive_write_set_bytes_in_last_block(image.archive, 1) != ARCHIVE_OK ||
	    archive_write_open_fd(image.archive, fd) != ARCHIVE_OK)
		die("cannot start the archive: %s", archive_error_string(image.archive));
	manifest_write(&image);
	if (archive_write_close(image.archive) != ARCHIVE_OK)
		die("cannot finish the archive: %s", archive_error_string(image.archive));
	archive_write_free(image.archive);
	if (close(fd) < 0 || rename(part, argv[1]) < 0)
		die("cannot write %s: %s", argv[1], strerror(errno));
	unfinished = NULL;
	free(part);
	for (size_t i = 0; i < image.count; i++)
		free(image.paths[i]);
	return 0;
}
