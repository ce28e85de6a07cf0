package accesslog

import (
	"testing"

	"github.com/sluiceproxy/sluice/config"
)

// go test -bench . -benchmem ./internal/accesslog
func BenchmarkAppend(b *testing.B) {
	for _, name := range []string{"json", "text"} {
		b.Run(name, func(b *testing.B) {
			format, err := CompileFormat(name)
			if err != nil {
				b.Fatal(err)
			}
			record, buf := ended(), make([]byte, 0, 4096)
			b.ReportAllocs()
			for b.Loop() {
				buf = format.Append(buf[:0], config.LogEnd, record)
			}
		})
	}
}

// Lines that the disk cannot take are dropped; that is part of what Log costs.
func BenchmarkLog(b *testing.B) {
	files, _ := newTestFiles(b)
	logger := newTestLogger(b, files, target("/dev/null", "json"))
	record := ended()
	b.ReportAllocs()
	for b.Loop() {
		logger.Log(config.LogEnd, record)
	}
	b.ReportMetric(float64(files.Dropped())/float64(b.N), "dropped/op")
}

func TestAppendAllocatesNothing(t *testing.T) {
	for _, name := range []string{"json", "text", "%START_TIME(%F %T.%3f)% %RESPONSE_FLAGS_LONG% %CONNECTION_TERMINATION_DETAILS:5%"} {
		format, err := CompileFormat(name)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 0, 4096)
		for _, record := range []*Record{ended(), refused()} {
			if n := testing.AllocsPerRun(100, func() { buf = format.Append(buf[:0], config.LogEnd, record) }); n != 0 {
				t.Errorf("%s: %v allocations, want 0", name, n)
			}
		}
	}
}
