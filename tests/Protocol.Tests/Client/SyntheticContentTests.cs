using FsCheck;
using FsCheck.Fluent;
using NetdumpCollector.Protocol.Client;

namespace NetdumpCollector.Protocol.Tests.Client;

public sealed class SyntheticContentTests
{
    /// <summary>Computed with ndblast's pattern_word.</summary>
    [Theory]
    [InlineData(0, 0, 0x94dd1b8f58d9278f)]
    [InlineData(5, 4096, 0x29c3284ef7867f95)]
    public void Equals_what_ndblast_sends(uint client, ulong offset, ulong word)
    {
        byte[] bytes = new byte[8];
        SyntheticContent.Fill(client, offset, bytes);
        Assert.Equal(word, BitConverter.ToUInt64(bytes));
    }

    [Fact]
    public void Any_slice_equals_the_same_bytes_of_the_whole() =>
        Prop.ForAll(Gen.Choose(0, 100).Two().ToArbitrary(), slice =>
        {
            byte[] whole = new byte[256];
            byte[] part = new byte[slice.Item2];
            SyntheticContent.Fill(1, 0, whole);
            SyntheticContent.Fill(1, (ulong)slice.Item1, part);
            return part.AsSpan().SequenceEqual(whole.AsSpan(slice.Item1, slice.Item2));
        }).QuickCheckThrowOnFailure();
}
