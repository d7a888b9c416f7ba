package machine

import (
	"bufio"
	"math"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// CPU is the name of the processor, or its architecture's where there is none.
func CPU() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	return field(string(text), "model name", "Model", "Hardware")
}

// field returns the value of the first line "name : value" of any of names.
func field(text string, names ...string) string {
	for _, name := range names {
		for line := range strings.Lines(text) {
			key, value, ok := strings.Cut(line, ":")
			if ok && strings.TrimSpace(key) == name {
				return strings.TrimSpace(value)
			}
		}
	}
	return ""
}

// MainMemory reads what the kernel says, and the limit of the control group.
func MainMemory() Memory {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return Memory{}
	}
	defer func() { _ = f.Close() }() // read only
	var m Memory
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ":")
		words := strings.Fields(value)
		if len(words) == 0 {
			continue
		}
		n, err := strconv.ParseInt(words[0], 10, 64)
		if err != nil {
			continue
		}
		switch key { // in units of 1024 bytes
		case "MemTotal":
			m.Total = n << 10
		case "MemAvailable":
			m.Available = n << 10
		}
	}
	return limited(m, "/sys/fs/cgroup", ownGroup())
}

// ownGroup is the path of the control group (version 2) of this process.
func ownGroup() string {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "/"
	}
	for line := range strings.Lines(string(text)) {
		if group, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			return group
		}
	}
	return "/"
}

// limited is m within the memory limits of group and all that it lies in.
func limited(m Memory, root, group string) Memory {
	for {
		folder := path.Join(root, group)
		if limit, ok := readBytes(path.Join(folder, "memory.max")); ok {
			used, _ := readBytes(path.Join(folder, "memory.current"))
			m.Total = min(m.Total, limit)
			m.Available = min(m.Available, max(0, limit-used))
		}
		if group == "/" || group == "." || group == "" {
			return m
		}
		group = path.Dir(group)
	}
}

// readBytes reads a number of bytes; "max", no limit, is none.
func readBytes(name string) (int64, bool) {
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
}

// DiskFree is the bytes that this user can still write below folder.
func DiskFree(folder string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: folder, Err: err}
	}
	block := uint64(s.Bsize) // int64 or int32, by the architecture
	if block == 0 || s.Bavail > math.MaxInt64/block {
		return math.MaxInt64, nil
	}
	return int64(s.Bavail * block), nil
}
