package accesslog

import (
	"testing"

	"github.com/sluiceproxy/sluice/config"
)

// What a line costs the loop that formats it.
//
//	go test ./internal/accesslog -run '^$' -bench Append
func BenchmarkAppend(b *testing.B) {
	for _, name := range []string{"json", "text"} {
		for _, record := range []namedRecord{{"ended", ended()}, {"refused", refused()}} {
			b.Run("format="+name+"/record="+record.name, func(b *testing.B) {
				format, err := CompileFormat(name)
				if err != nil {
					b.Fatal(err)
				}
				buf := format.Append(make([]byte, 0, 4096), config.LogEnd, record.Record)
				b.SetBytes(int64(len(buf)))
				b.ReportAllocs()
				for b.Loop() {
					buf = format.Append(buf[:0], config.LogEnd, record.Record)
				}
				b.ReportMetric(float64(len(buf)), "B/line")
			})
		}
	}
}

type namedRecord struct {
	name string
	*Record
}

// The whole of it, with all loops logging to one file. Lines that the file
// cannot take are dropped; that is part of what Log costs.
func BenchmarkLog(b *testing.B) {
	for _, name := range []string{"json", "text"} {
		b.Run("format="+name, func(b *testing.B) {
			files, _ := newTestFiles(b)
			logger := newTestLogger(b, files, target("/dev/null", name))
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) {
				for record := ended(); p.Next(); {
					logger.Log(config.LogEnd, record)
				}
			})
			b.ReportMetric(float64(files.Dropped())/float64(b.N), "dropped/op")
		})
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	for _, name := range []string{"json", "text", "%START_TIME(%F %T.%3f)% %RESPONSE_FLAGS_LONG% %CONNECTION_TERMINATION_DETAILS:5%"} {
		format, err := CompileFormat(name)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 0, 4096)
		for _, record := range []*Record{ended(), inspected(), refused()} {
			if n := testing.AllocsPerRun(100, func() { buf = format.Append(buf[:0], config.LogEnd, record) }); n != 0 {
				t.Errorf("%s: %v allocations, want 0", name, n)
			}
		}
	}
}
