using System.Text;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Actors.Stitching;

/// <summary>The token that a node shows to others. It is read anew for each use, so that it can change.</summary>
public static class NodeToken
{
    private const int MaxBytes = 4096;

    /// <exception cref="StorageException">The file cannot be read, or has no token; the message has nothing of it.</exception>
    public static string Read(string path)
    {
        try
        {
            string token = Encoding.ASCII.GetString(SmallFile.Read(path, MaxBytes)).Trim();
            return token.Length > 0 && token.All(c => c is > ' ' and < '\x7f') ? token : throw new StorageException($"node token file {path}: is not a token on one line");
        }
        catch (IOException e)
        {
            throw new StorageException($"node token file {path}: {e.Message}", e);
        }
    }
}
