package listener

import "strings"

// blocks are where the texts of small tables lie, one after the other as they
// are made. With ten thousand chains none is in the processor's cache; those of
// one chain are made together and so share the cache lines that a search waits
// for, where texts of the configuration lie each for itself.
type blocks struct {
	texts []text // what is left of a block
	keys  strings.Builder
}

const (
	textsInBlock = 256
	bytesInBlock = 4096
)

// few is a copy of the list that nothing can be appended to.
func (b *blocks) few(list []text) []text {
	n := len(list)
	if n > len(b.texts) {
		b.texts = make([]text, textsInBlock)
	}
	kept := b.texts[:n:n]
	b.texts = b.texts[n:]
	copy(kept, list)
	return kept
}

// key is a copy of the text.
func (b *blocks) key(text string) string {
	if b.keys.Len()+len(text) > b.keys.Cap() {
		b.keys = strings.Builder{}
		b.keys.Grow(max(len(text), bytesInBlock))
	}
	start := b.keys.Len()
	b.keys.WriteString(text)
	return b.keys.String()[start:]
}
