package policy

import (
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const second = int64(time.Second)

func rateLimit(t testing.TB, b TokenBucket, now int64) *RateLimit {
	t.Helper()
	r, err := NewRateLimit(b, now)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRateLimit(t *testing.T) {
	const start = 7 * second
	type step struct {
		at   int64 // after the start
		take int   // wanted
		want int   // got
	}
	for _, c := range []struct {
		name   string
		bucket TokenBucket
		steps  []step
	}{
		{"starts full", TokenBucket{3, 1, time.Second}, []step{{0, 5, 3}}},
		{"fills by intervals, not by and by", TokenBucket{4, 2, time.Second}, []step{{0, 4, 4}, {second - 1, 1, 0}, {second, 5, 2}, {2*second - 1, 1, 0}, {2 * second, 3, 2}}},
		{"intervals count from the start", TokenBucket{2, 1, time.Second}, []step{{second / 2, 2, 2}, {second, 2, 1}}},
		{"never more than max", TokenBucket{3, 2, time.Second}, []step{{0, 2, 2}, {second, 4, 3}, {100 * second, 4, 3}}},
		{"a fill larger than the bucket", TokenBucket{2, math.MaxUint32, time.Second}, []step{{0, 3, 2}, {second, 3, 2}}},
		{"several intervals at once", TokenBucket{10, 2, time.Second}, []step{{0, 10, 10}, {3 * second, 9, 6}}},
		{"a full bucket saves nothing", TokenBucket{2, 2, time.Second}, []step{{50 * second, 2, 2}, {50*second + 1, 1, 0}, {51 * second, 3, 2}}},
		{"a loop that is behind", TokenBucket{2, 1, time.Second}, []step{{5 * second, 2, 2}, {4 * second, 1, 0}, {-second, 1, 0}, {5 * second, 1, 0}, {6 * second, 2, 1}}},
		{"a loop behind the start", TokenBucket{2, 1, time.Second}, []step{{-5 * second, 3, 2}, {second - 1, 1, 0}, {second, 2, 1}}},
		{"least interval", TokenBucket{1, 1, 50 * time.Millisecond}, []step{{0, 2, 1}, {second, 2, 1}, {second + 50e6, 2, 1}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rateLimit(t, c.bucket, start)
			for _, s := range c.steps {
				got, tokens := 0, r.Tokens(start+s.at)
				for range s.take {
					if r.Take(start + s.at) {
						got++
					}
				}
				if got != s.want {
					t.Errorf("at %v: took %d, want %d", time.Duration(s.at), got, s.want)
				}
				if left := r.Tokens(start + s.at); left != tokens-int64(got) {
					t.Errorf("at %v: %d tokens before, %d after %d were taken", time.Duration(s.at), tokens, left, got)
				}
			}
		})
	}
}

func TestBadBuckets(t *testing.T) {
	for _, c := range []struct {
		bucket TokenBucket
		want   string
	}{
		{TokenBucket{0, 1, time.Second}, "max_tokens: 0"},
		{TokenBucket{MostTokens + 1, 1, time.Second}, "max_tokens: 33554433"},
		{TokenBucket{1, 0, time.Second}, "tokens_per_fill: 0"},
		{TokenBucket{1, 1, 50*time.Millisecond - 1}, "fill_interval: 49.999999ms"},
		{TokenBucket{1, 1, 0}, "fill_interval: 0s"},
		{TokenBucket{1, 1, -time.Second}, "fill_interval: -1s"},
	} {
		if _, err := NewRateLimit(c.bucket, 0); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.bucket, err)
		}
	}
}

// referenceBucket fills as Envoy's documentation of TokenBucket says, one
// interval after the other.
type referenceBucket struct {
	TokenBucket
	tokens, next int64
}

func (b *referenceBucket) take(now int64) bool {
	for ; b.next <= now; b.next += int64(b.FillInterval) {
		b.tokens = min(int64(b.MaxTokens), b.tokens+int64(b.TokensPerFill))
	}
	if b.tokens == 0 {
		return false
	}
	b.tokens--
	return true
}

func TestRateLimitAsReference(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 5))
	for range 500 {
		b := TokenBucket{1 + random.Uint32N(12), 1 + random.Uint32N(15), MinFillInterval + time.Duration(random.Int64N(second))}
		now := random.Int64N(1000 * second)
		r := rateLimit(t, b, now)
		reference := referenceBucket{b, int64(b.MaxTokens), now + int64(b.FillInterval)}
		pause := int64(b.FillInterval) / (1 + random.Int64N(30))
		for i := range 2000 {
			now += random.Int64N(pause)
			if random.IntN(100) == 0 {
				now += random.Int64N(20 * int64(b.FillInterval))
			}
			if got, want := r.Take(now), reference.take(now); got != want {
				t.Fatalf("%+v: take %d at %d: got %v, want %v", b, i, now, got, want)
			}
		}
	}
}

// TestRateLimitAfterYears: with the largest bucket and the shortest interval,
// to the last nanosecond that the clock has.
func TestRateLimitAfterYears(t *testing.T) {
	for _, b := range []TokenBucket{
		{MostTokens, MostTokens, MinFillInterval},
		{MostTokens, MostTokens - 1, MinFillInterval + 1},
		{3, 2, MinFillInterval},
		{1, math.MaxUint32, 333 * time.Millisecond},
	} {
		r := rateLimit(t, b, 0)
		for _, now := range []int64{0, int64(365 * 24 * time.Hour), math.MaxInt64 / 3, math.MaxInt64} {
			fills := new(big.Int).Div(big.NewInt(now), big.NewInt(int64(b.FillInterval)))
			filled := fills.Mul(fills, big.NewInt(int64(min(b.TokensPerFill, b.MaxTokens))))
			if got := r.filled(now); !filled.IsInt64() || filled.Int64() != got {
				t.Errorf("%+v at %d: filled %d, want %v", b, now, got, filled)
			}
			if got := r.Tokens(now); got != int64(b.MaxTokens) {
				t.Errorf("%+v at %d: %d tokens", b, now, got)
			}
			for range min(b.MaxTokens, 3) {
				if !r.Take(now) {
					t.Errorf("%+v at %d: empty", b, now)
				}
			}
			if taken := int64(min(b.MaxTokens, 3)); r.Tokens(now) != int64(b.MaxTokens)-taken {
				t.Errorf("%+v at %d: %d tokens after %d were taken", b, now, r.Tokens(now), taken)
			}
		}
	}
}

// TestRateLimitOfManyLoops: loops whose clocks are apart take no token twice,
// and together all there are.
func TestRateLimitOfManyLoops(t *testing.T) {
	const loops, fills, perFill, most = 8, 400, 3, 10
	r := rateLimit(t, TokenBucket{most, perFill, MinFillInterval}, 0)
	var taken atomic.Int64
	var wait sync.WaitGroup
	for loop := range loops {
		wait.Go(func() {
			for i := range int64(fills * 20) {
				now := i*int64(MinFillInterval)/20 - int64(loop)*1e6
				if r.Take(now) {
					taken.Add(1)
				}
			}
		})
	}
	wait.Wait()
	end := int64(fills) * int64(MinFillInterval)
	for r.Take(end) {
		taken.Add(1)
	}
	if all := int64(most + fills*perFill); taken.Load() > all {
		t.Errorf("took %d tokens of %d", taken.Load(), all)
	}
}

// TestRateLimitLosesNothing: as many tokens as there are, however many loops
// want them.
func TestRateLimitLosesNothing(t *testing.T) {
	const most = 1 << 22 // enough that loops really run at once
	r := rateLimit(t, TokenBucket{most, 1, time.Hour}, 0)
	var taken atomic.Int64
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			mine := int64(0)
			for r.Take(1) {
				mine++
			}
			taken.Add(mine)
		})
	}
	wait.Wait()
	if taken.Load() != most {
		t.Errorf("took %d tokens of %d", taken.Load(), most)
	}
}
