package cgroup

import (
	"strings"
	"testing"
	"testing/fstest"
)

const (
	mount2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	mount1 = "35 29 0:30 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu\n" +
		"36 29 0:31 / /sys/fs/cgroup/memory rw shared:10 - cgroup cgroup rw,memory\n"
)

type memoryCase struct {
	name   string
	groups string // /proc/self/cgroup
	mounts string // /proc/self/mountinfo
	files  map[string]string
	bytes  int64
	file   string
	err    string
}

func memoryCases() []memoryCase {
	return []memoryCase{
		{name: "nothing mounted"},
		{
			name: "version 2 in a namespace of its own", groups: "0::/\n", mounts: mount2,
			files: map[string]string{"sys/fs/cgroup/memory.max": "268435456\n"},
			bytes: 256 << 20, file: "/sys/fs/cgroup/memory.max",
		},
		{
			name: "version 2 without a limit", groups: "0::/\n", mounts: mount2,
			files: map[string]string{"sys/fs/cgroup/memory.max": "max\n"},
		},
		{
			name: "version 2 below a slice that has less", groups: "0::/system.slice/sluice.service\n", mounts: mount2,
			files: map[string]string{
				"sys/fs/cgroup/system.slice/sluice.service/memory.max": "300000000\n",
				"sys/fs/cgroup/system.slice/memory.max":                "200000000\n",
			},
			bytes: 200000000, file: "/sys/fs/cgroup/system.slice/memory.max",
		},
		{
			name: "version 2, the group's own is the lowest", groups: "0::/a/b\n", mounts: mount2,
			files: map[string]string{"sys/fs/cgroup/a/b/memory.max": "100\n", "sys/fs/cgroup/a/memory.max": "200\n"},
			bytes: 100, file: "/sys/fs/cgroup/a/b/memory.max",
		},
		{
			name: "version 1", groups: "5:cpu,cpuacct:/x\n4:memory:/pod/app\n0::/\n", mounts: mount1 + mount2,
			files: map[string]string{
				"sys/fs/cgroup/memory/pod/app/memory.limit_in_bytes": "9223372036854771712\n",
				"sys/fs/cgroup/memory/pod/memory.limit_in_bytes":     "134217728\n",
			},
			bytes: 128 << 20, file: "/sys/fs/cgroup/memory/pod/memory.limit_in_bytes",
		},
		{
			name: "version 1 without a limit", groups: "4:memory:/\n", mounts: mount1,
			files: map[string]string{"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"},
		},
		{
			name: "version 1 of a container without a namespace", groups: "4:memory:/docker/abc\n",
			mounts: "36 29 0:31 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
			files:  map[string]string{"sys/fs/cgroup/memory/memory.limit_in_bytes": "1000\n"},
			bytes:  1000, file: "/sys/fs/cgroup/memory/memory.limit_in_bytes",
		},
		{
			name: "the group is outside of the mount", groups: "0::/../other\n", mounts: mount2,
			files: map[string]string{"sys/fs/cgroup/memory.max": "1000\n"},
			bytes: 1000, file: "/sys/fs/cgroup/memory.max",
		},
		{
			name: "a mount point with a space", groups: "0::/\n", mounts: strings.Replace(mount2, "/sys/fs/cgroup", `/my\040groups`, 1),
			files: map[string]string{"my groups/memory.max": "1000\n"},
			bytes: 1000, file: "/my groups/memory.max",
		},
		{
			name: "nonsense", groups: "0::/\n", mounts: mount2,
			files: map[string]string{"sys/fs/cgroup/memory.max": "lots\n"}, err: "/sys/fs/cgroup/memory.max",
		},
	}
}

func TestMemoryLimit(t *testing.T) {
	for _, tc := range memoryCases() {
		t.Run(tc.name, func(t *testing.T) {
			root := fstest.MapFS{}
			for name, text := range tc.files {
				root[name] = &fstest.MapFile{Data: []byte(text)}
			}
			if tc.groups != "" {
				root["proc/self/cgroup"] = &fstest.MapFile{Data: []byte(tc.groups)}
				root["proc/self/mountinfo"] = &fstest.MapFile{Data: []byte(tc.mounts)}
			}
			limit, err := MemoryLimit(root)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("error %v, want one about %s", err, tc.err)
				}
				return
			}
			if err != nil || limit.Bytes != tc.bytes || limit.File != tc.file {
				t.Errorf("%+v, error %v; want %d of %s", limit, err, tc.bytes, tc.file)
			}
		})
	}
}
