package paging

// generation is how many marks a generation of the memory of a reader holds. Two of them are kept.
const generation = 1 << 16

// side says which ends of the block of remembered records a record joins pages to. A
// record that is remembered from before the block has none.
type side byte

const (
	atBack     side = 1 << iota // what stands behind it was not read, or is remembered
	atFront                     // the same of what stands before it
	remembered                  // set for all that is remembered
)

// memory is a set of marks of the records that were received. Those with a side are the
// block: a piece of the list without gaps.
type memory struct {
	young, old map[uint64]side
	gappy      bool // the middle of the block has been forgotten: its two ends are known
	full       int  // how many marks a generation holds
}

// get returns what is known of a record; 0 if it is not remembered.
func (m *memory) get(id uint64) side {
	if s := m.young[id]; s != 0 {
		return s
	}
	return m.old[id]
}

func (m *memory) knows(id uint64) bool { return m.get(id) != 0 }

// joins reports whether a record is known to belong to this end of the block.
func (m *memory) joins(id uint64, end side) bool { return m.get(id)&end != 0 }

// add remembers a record as one of this end of the block. A block without a gap is known
// at both ends.
func (m *memory) add(id uint64, end side) {
	if !m.gappy {
		end = atBack | atFront
	}
	if m.young == nil {
		m.young = make(map[uint64]side)
	}
	m.young[id] = m.get(id) | end | remembered
}

// size returns about how many marks are remembered.
func (m *memory) size() int { return len(m.young) + len(m.old) }

// age begins a new generation if the young one is full. front and back are both ends of the block.
// Once records are forgotten, only these are known to belong together.
func (m *memory) age(front, back []uint64) {
	if len(m.young) >= m.full {
		if len(m.old) > 0 {
			m.gappy = true
			clearSides(m.young)
		}
		m.young, m.old = nil, m.young
	}
	if !m.gappy {
		return
	}
	for _, id := range front {
		m.add(id, atFront)
	}
	for _, id := range back {
		m.add(id, atBack)
	}
}

// restart begins a new block. What was received before is still remembered.
func (m *memory) restart() {
	m.gappy = false
	clearSides(m.young)
	clearSides(m.old)
}

func clearSides(generation map[uint64]side) {
	for id := range generation {
		generation[id] = remembered
	}
}
