package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// Limit is how much memory a process may have.
type Limit struct {
	Bytes int64  // 0: there is no limit
	File  string // that says so, as an absolute path; "" without a limit
}

// unlimited is what version 1 shows where no limit is set: the largest number
// of bytes in whole pages, which differs with the page size.
const unlimited = 1 << 62

// MemoryLimit is the lowest limit of the control group of this process and of
// the groups above it that can be seen. root is the file system from its top,
// os.DirFS("/") or a test's. A system without control groups, or without a
// mounted /proc, has no limit and is no error; an error is a file that is there
// and cannot be understood.
func MemoryLimit(root fs.FS) (Limit, error) {
	groups, err := read(root, "proc/self/cgroup")
	if err != nil {
		return Limit{}, err
	}
	mounts, err := read(root, "proc/self/mountinfo")
	if err != nil {
		return Limit{}, err
	}
	var lowest Limit
	for _, h := range hierarchies(groups, mounts) {
		limit, err := h.lowest(root)
		if err != nil {
			return Limit{}, err
		}
		if limit.lowerThan(lowest) {
			lowest = limit
		}
	}
	return lowest, nil
}

func (l Limit) lowerThan(other Limit) bool {
	return l.Bytes > 0 && (other.Bytes == 0 || l.Bytes < other.Bytes)
}

// lowest looks at the group itself and at every one up to the mount's top.
func (h hierarchy) lowest(root fs.FS) (Limit, error) {
	var lowest Limit
	for group := h.group; ; group = path.Dir(group) {
		file := path.Join(h.mount, group, h.file)
		bytes, err := readLimit(root, file)
		if err != nil {
			return Limit{}, err
		}
		if limit := (Limit{Bytes: bytes, File: file}); limit.lowerThan(lowest) {
			lowest = limit
		}
		if group == "/" {
			return lowest, nil
		}
	}
}

func readLimit(root fs.FS, file string) (int64, error) {
	text, err := read(root, strings.TrimPrefix(file, "/"))
	text = strings.TrimSpace(text)
	if err != nil || text == "" || text == "max" {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("memory limit in %s: %w", file, err)
	}
	if n >= unlimited {
		return 0, nil
	}
	return int64(n), nil
}

// read gives "" for a file that is not there: the top group has no limits, and
// which files exist depends on the version.
func read(root fs.FS, name string) (string, error) {
	text, err := fs.ReadFile(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the control groups of this process: %w", err)
	}
	return string(text), nil
}
