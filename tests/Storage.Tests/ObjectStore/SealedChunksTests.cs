using System.Buffers;
using System.Security.Cryptography;
using FsCheck;
using FsCheck.Fluent;
using NetdumpCollector.Storage.ObjectStore;

namespace NetdumpCollector.Storage.Tests.ObjectStore;

public sealed class SealedChunksTests : IDisposable
{
    private const int Overhead = ChunkSealer.LengthBytes + ChunkSealer.TagBytes;

    private readonly TempDirectory _temp = new();
    private readonly byte[] _dataKey = RandomNumberGenerator.GetBytes(SealHeader.DataKeyBytes);

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void Content_of_any_length_and_cut_comes_back() => Prop.ForAll(
        Gen.Choose(0, 70_000).ArrayOf(3).ToArbitrary(),
        pieces =>
        {
            byte[][] content = [.. pieces.Select(RandomNumberGenerator.GetBytes)];
            return Open(Seal(content)).SequenceEqual(content.SelectMany(piece => piece));
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(50));

    [Fact]
    public void Content_longer_than_a_chunk_becomes_several()
    {
        byte[] content = RandomNumberGenerator.GetBytes(ChunkSealer.MaxPlainBytes + 5);
        byte[] stored = Seal([content]);
        Assert.Equal(content.Length + (2 * Overhead), stored.Length - Header(stored).Bytes.Length);
        Assert.Equal(content, Open(stored));
    }

    [Fact]
    public void Any_changed_byte_is_noticed() => Prop.ForAll(
        Gen.Choose(0, int.MaxValue - 1).Zip(Gen.Choose(1, 255)).ToArbitrary(),
        change =>
        {
            byte[] stored = Seal([RandomNumberGenerator.GetBytes(300), RandomNumberGenerator.GetBytes(200)]);
            stored[change.Item1 % stored.Length] ^= (byte)change.Item2;
            return Fails(stored);
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(500));

    [Fact]
    public void Any_cut_is_noticed_also_between_chunks() => Prop.ForAll(
        Gen.Choose(1, int.MaxValue - 1).ToArbitrary(),
        cut =>
        {
            byte[] stored = Seal([new byte[100], new byte[100], new byte[100]]);
            int header = Header(stored).Bytes.Length;
            return Fails(stored[..^(1 + (cut % (stored.Length - 1)))])
                && Fails(stored[..^(100 + Overhead)]) && Fails(stored[..header]);
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(300));

    [Fact]
    public void Chunks_in_another_order_repeated_left_out_or_behind_the_last_are_noticed()
    {
        byte[] stored = Seal([new byte[100], new byte[100], new byte[100]]);
        int header = Header(stored).Bytes.Length, chunk = 100 + Overhead;
        byte[] Chunk(int number) => stored[(header + (number * chunk))..(header + ((number + 1) * chunk))];

        Assert.Equal(new byte[300], Open(stored));
        Assert.True(Fails([.. stored[..header], .. Chunk(1), .. Chunk(0), .. Chunk(2)]));
        Assert.True(Fails([.. stored[..header], .. Chunk(0), .. Chunk(0), .. Chunk(1), .. Chunk(2)]));
        Assert.True(Fails([.. stored[..header], .. Chunk(0), .. Chunk(2)]));
        Assert.True(Fails([.. stored, .. Chunk(2)]));
        Assert.True(Fails([.. stored, 0]));
    }

    [Fact]
    public void A_chunk_of_another_dump_under_the_same_key_is_noticed()
    {
        byte[] one = Seal([new byte[100], new byte[100]]), other = Seal([new byte[100], new byte[100]]);
        int header = Header(one).Bytes.Length, chunk = 100 + Overhead;
        Assert.True(Fails([.. one[..(header + chunk)], .. other[(header + chunk)..]]));
        // The header of the one, with its nonces, and the chunks of the other.
        Assert.True(Fails([.. one[..header], .. other[header..]]));
    }

    [Fact]
    public void A_data_key_is_opened_by_the_secret_and_by_the_private_key_and_by_no_other()
    {
        using var rsa = RSA.Create(2048);
        File.WriteAllBytes(_temp.File("secret"), RandomNumberGenerator.GetBytes(32));
        File.WriteAllBytes(_temp.File("other"), RandomNumberGenerator.GetBytes(32));
        File.WriteAllText(_temp.File("public"), rsa.ExportSubjectPublicKeyInfoPem());
        File.WriteAllText(_temp.File("private"), rsa.ExportPkcs8PrivateKeyPem());
        var header = SealHeader.Create(_dataKey, [SealingKey.FromSecretFile(_temp.File("secret")), SealingKey.FromPublicKeyFile(_temp.File("public"))]);
        header = SealHeader.Read(new MemoryStream(header.Bytes));

        Assert.Equal(_dataKey, SealingKey.FromOpeningFile(_temp.File("secret")).Unwrap(header.Keys));
        Assert.Equal(_dataKey, SealingKey.FromOpeningFile(_temp.File("private")).Unwrap(header.Keys));
        Assert.Null(SealingKey.FromOpeningFile(_temp.File("other")).Unwrap(header.Keys));
        header.Keys[0].Wrapped[5] ^= 1;
        header.Keys[1].Wrapped[5] ^= 1;
        Assert.Throws<InvalidDataException>(() => SealingKey.FromOpeningFile(_temp.File("secret")).Unwrap(header.Keys));
        Assert.Throws<InvalidDataException>(() => SealingKey.FromOpeningFile(_temp.File("private")).Unwrap(header.Keys));
    }

    [Fact]
    public void Files_that_are_no_keys_are_refused_with_what_to_do()
    {
        using var rsa = RSA.Create(2048);
        File.WriteAllText(_temp.File("private"), rsa.ExportPkcs8PrivateKeyPem());
        File.WriteAllBytes(_temp.File("short"), new byte[31]);
        File.WriteAllText(_temp.File("text"), "no key\n");

        Assert.Contains("/dev/urandom", Assert.Throws<StorageException>(() => SealingKey.FromSecretFile(_temp.File("short"))).Message, StringComparison.Ordinal);
        Assert.Contains("-pubout", Assert.Throws<StorageException>(() => SealingKey.FromPublicKeyFile(_temp.File("private"))).Message, StringComparison.Ordinal);
        Assert.Throws<StorageException>(() => SealingKey.FromPublicKeyFile(_temp.File("text")));
        Assert.Throws<StorageException>(() => SealingKey.FromOpeningFile(_temp.File("text")));
        Assert.Contains(_temp.File("missing"), Assert.Throws<StorageException>(() => SealingKey.FromSecretFile(_temp.File("missing"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Bytes_that_are_no_header_are_refused_and_nothing_else_happens() => Prop.ForAll(
        Gen.Choose(0, 255).Select(value => (byte)value).ArrayOf(40).ToArbitrary(),
        noise => Fails([.. "NDCSEAL1"u8, 0, 0, 0, 28, .. noise])).Check(Config.QuickThrowOnFailure.WithMaxTest(300));

    private byte[] Seal(byte[][] pieces)
    {
        var header = SealHeader.Create(_dataKey, []);
        using var sealer = new ChunkSealer(_dataKey, header);
        var output = new ArrayBufferWriter<byte>();
        for (int i = 0; i < pieces.Length; i++)
            sealer.Seal(pieces[i], endsHere: i == pieces.Length - 1, output);
        return [.. header.Bytes, .. output.WrittenSpan];
    }

    private static SealHeader Header(byte[] stored) => SealHeader.Read(new MemoryStream(stored));

    private byte[] Open(byte[] stored)
    {
        var source = new MemoryStream(stored);
        var header = SealHeader.Read(source);
        using var opener = new ChunkOpener(source, _dataKey, header);
        var plain = new MemoryStream();
        opener.CopyTo(plain);
        return plain.ToArray();
    }

    private bool Fails(byte[] stored)
    {
        try
        {
            _ = Open(stored);
            return false;
        }
        catch (InvalidDataException)
        {
            return true;
        }
    }
}
