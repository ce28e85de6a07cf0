package bench

import (
	"math"
	"strings"
	"testing"
	"time"
)

func valid() Load {
	return Load{Kind: Requests, Protocol: Own, Connections: 64, Size: 64, Duration: time.Second}
}

func TestValidate(t *testing.T) {
	type loadCase struct {
		name   string
		change func(*Load)
		want   string // in the error; empty: none
	}
	for _, c := range []loadCase{
		{"requests", func(*Load) {}, ""},
		{"open loop", func(l *Load) { l.Rate = 1e5 }, ""},
		{"connections", func(l *Load) { l.Kind, l.Ending = Connections, RST }, ""},
		{"streams", func(l *Load) { l.Kind, l.Direction = Streams, Both }, ""},
		{"redis", func(l *Load) { l.Protocol, l.Beside.Idle = Redis, 10 }, ""},
		{"kind", func(l *Load) { l.Kind = "pings" }, `kind "pings"`},
		{"protocol", func(l *Load) { l.Protocol = "" }, `protocol ""`},
		{"no direction", func(l *Load) { l.Kind = Streams }, "direction is missing"},
		{"direction", func(l *Load) { l.Direction = "sideways" }, `direction "sideways"`},
		{"no ending", func(l *Load) { l.Kind = Connections }, "ending is missing"},
		{"ending", func(l *Load) { l.Ending = "happy" }, `ending "happy"`},
		{"streams of HTTP", func(l *Load) { l.Kind, l.Direction, l.Protocol = Streams, Up, HTTP }, "no streams"},
		{"streams beside Redis", func(l *Load) { l.Protocol, l.Beside.SlowReaders = Redis, 1 }, "no streams"},
		{"no connection", func(l *Load) { l.Connections = 0 }, "connections 0"},
		{"too many connections", func(l *Load) { l.Connections = MaxConnections + 1 }, "connections"},
		{"no size", func(l *Load) { l.Size = 0 }, "size 0"},
		{"size", func(l *Load) { l.Size = MaxSize + 1 }, "size"},
		{"negative rate", func(l *Load) { l.Rate = -1 }, "rate -1"},
		{"rate that is no number", func(l *Load) { l.Rate = math.NaN() }, "rate NaN"},
		{"no duration", func(l *Load) { l.Duration = 0 }, "duration"},
		{"long", func(l *Load) { l.Duration = 2 * MaxDuration }, "duration"},
		{"warmup", func(l *Load) { l.Warmup = -1 }, "warmup"},
		{"loops", func(l *Load) { l.Loops = 65 }, "loops 65"},
		{"idle beside", func(l *Load) { l.Beside.Idle = -1 }, "idle connections beside"},
		{"streams beside", func(l *Load) { l.Beside.Streams = 1001 }, "streams beside"},
		{"slow readers", func(l *Load) { l.Beside.SlowReaders = 10_001 }, "slow readers beside"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := valid()
			c.change(&l)
			switch err := l.Validate(); {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestValidateNamesEverything(t *testing.T) {
	err := Load{}.Validate()
	for _, want := range []string{"kind", "protocol", "connections", "size", "duration"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name the %s", err, want)
		}
	}
}
