package paging
import ("testing";"fmt";"os")
func TestDbg(t *testing.T) {
	dbg = func(s string, a ...any) { fmt.Fprintf(os.Stderr, s+"\n", a...) }
	h := newHistory(*firstSeed, os.Getenv("DEL") != "")
	h.tells = false
	h.model.tells = false
	fmt.Fprintln(os.Stderr, h.resume())
}
