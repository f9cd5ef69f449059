namespace NetdumpCollector.Storage;

/// <summary>Finds what of a dump need not be written because it is zero and the file reads as zero there: zeros above the high-water mark that reach from one end of their page, or of what comes together, to the other.</summary>
/// <remarks>
/// Below the mark something was, or may have been, written, also by a write that failed half-way, so there zeros are written like anything else and overlaps stay right.
/// The mark rises with each extent that is handed out to be written, before it is. Above it the file holds zeros only, so also a part of a page can be left out: the page is a hole
/// when its other parts are zero as well, in whatever pieces it comes, and where one of them is not, writing that one fills the page up with zeros.
/// A hole at the end does not lengthen the file, so <see cref="LengthBytes"/> has to be set before anybody is told that its bytes are stored. One user at a time.
/// </remarks>
public unsafe struct SparseWrites
{
    /// <summary>What file systems keep apart: a page at a multiple of this is a hole when nothing of it was written.</summary>
    public const int PageBytes = 4096;

    private ulong _highWater;
    private ulong _holeEnd;
    private ulong _fileEnd;

    /// <param name="fileBytes">Length of the file that is continued; 0 for a new one.</param>
    public SparseWrites(ulong fileBytes)
    {
        _highWater = fileBytes;
        _fileEnd = fileBytes;
    }

    /// <summary>The length that the file must be given because it ends with a hole; null when it is long enough.</summary>
    public readonly ulong? LengthBytes => _holeEnd > _fileEnd ? _holeEnd : null;

    /// <summary>To be called when bytes up to <paramref name="end"/> were written.</summary>
    public void OnWritten(ulong end) => _fileEnd = Math.Max(_fileEnd, end);

    /// <summary>To be called when the file was given <see cref="LengthBytes"/>.</summary>
    public void OnLengthened() => _fileEnd = Math.Max(_fileEnd, _holeEnd);

    /// <summary>To be called when the file could not be given <see cref="LengthBytes"/>: what comes again for that place is written then.</summary>
    public void OnLengthRefused()
    {
        _highWater = Math.Max(_highWater, _holeEnd);
        _holeEnd = _fileEnd;
    }

    /// <summary>Of the run of neighbours that begins at a byte of a slice, says what is to be done with its first bytes.</summary>
    /// <param name="slices">What is to be written where; the caller handles what it has not handled yet in order.</param>
    /// <param name="index">The slice that holds the first byte; slices that are empty are not part of it.</param>
    /// <param name="skipBytes">The first byte's place in that slice; less than its length.</param>
    /// <param name="isHole">The bytes are a hole; else they are to be written.</param>
    /// <returns>How many bytes, at least one; they may end inside a slice.</returns>
    public long NextExtent(ReadOnlySpan<WriteSlice> slices, int index, int skipBytes, out bool isHole)
    {
        ulong start = slices[index].Offset + (uint)skipBytes;
        var at = new Position(slices, index, skipBytes);
        if (start > long.MaxValue)
        {
            // No file has such a place: the caller refuses the write.
            isHole = false;
            at.Skip(ulong.MaxValue);
            return at.Passed;
        }

        isHole = start >= _highWater && at.TrySkipZeros();
        if (isHole)
        {
            while (at.TrySkipZeros())
            {
            }

            _holeEnd = Math.Max(_holeEnd, start + (ulong)at.Passed);
        }
        else
        {
            // To the next page that can be left out. Nothing below the mark can, so it is not looked at.
            at.Skip(RoundUp(Math.Max(start + 1, _highWater)) - start);
            while (at.HasBytes && !at.IsAtZeros)
                at.Skip(PageBytes);
            _highWater = Math.Max(_highWater, start + (ulong)at.Passed);
        }

        return at.Passed;
    }

    private static ulong RoundUp(ulong offset) => (offset + PageBytes - 1) / PageBytes * PageBytes;

    /// <summary>A place in a run of neighbouring slices.</summary>
    private ref struct Position(ReadOnlySpan<WriteSlice> slices, int index, int skipBytes)
    {
        private readonly ReadOnlySpan<WriteSlice> _slices = slices;
        private int _index = index;
        private int _skip = skipBytes;

        /// <summary>Bytes from where it began.</summary>
        public long Passed { get; private set; }

        /// <summary>The run goes on here.</summary>
        public readonly bool HasBytes => _index < _slices.Length;

        /// <summary>Goes on by <paramref name="bytes"/>, at most to the end of the run.</summary>
        public void Skip(ulong bytes)
        {
            while (bytes > 0 && HasBytes)
            {
                int part = (int)Math.Min(bytes, (ulong)(_slices[_index].Length - _skip));
                bytes -= (uint)part;
                Passed += part;
                _skip += part;
                if (_skip == _slices[_index].Length)
                    StepToNext();
            }
        }

        /// <summary>All is zero from here to the end of the page, or of the run when that comes first.</summary>
        public readonly bool IsAtZeros
        {
            get
            {
                var copy = this;
                return copy.TrySkipZeros();
            }
        }

        /// <summary>Passes what <see cref="IsAtZeros"/> speaks of, when there is something and it is zero.</summary>
        public bool TrySkipZeros()
        {
            if (!HasBytes)
                return false;

            var next = this;
            for (int left = PageBytes - (int)((_slices[_index].Offset + (uint)_skip) % PageBytes); left > 0 && next.HasBytes;)
            {
                var slice = next._slices[next._index];
                int part = Math.Min(left, slice.Length - next._skip);
                if (new ReadOnlySpan<byte>(slice.Data + next._skip, part).ContainsAnyExcept((byte)0))
                    return false;
                next.Skip((uint)part);
                left -= part;
            }

            this = next;
            return true;
        }

        private void StepToNext()
        {
            ulong end = _slices[_index].Offset + (uint)_slices[_index].Length;
            _skip = 0;
            do
                _index++;
            while (HasBytes && _slices[_index].Length == 0 && _slices[_index].Offset == end);
            if (HasBytes && _slices[_index].Offset != end)
                _index = _slices.Length;
        }
    }
}
